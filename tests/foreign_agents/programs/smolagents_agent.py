import os

from smolagents import OpenAIModel, ToolCallingAgent, ToolCollection

bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
server = {"url": os.environ["COUNTERSTEP_MCP_URL"], "transport": "streamable-http", "headers": bearer}
with ToolCollection.from_mcp(server, trust_remote_code=True) as saga:
    agent = ToolCallingAgent(tools=[*saga.tools], model=OpenAIModel("travel-model"), verbosity_level=0)
    print(agent.run(os.environ["COUNTERSTEP_INPUT"]))
