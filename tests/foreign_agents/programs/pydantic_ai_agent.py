import os

from fastmcp.client.transports import StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset

bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
saga = MCPToolset(StreamableHttpTransport(os.environ["COUNTERSTEP_MCP_URL"], headers=bearer))
agent = Agent("openai:travel-model", instructions="You book trips.", toolsets=[saga])
print(agent.run_sync(os.environ["COUNTERSTEP_INPUT"]).output)
