import asyncio
import os

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient


async def main():
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    saga = {"transport": "streamable_http", "url": os.environ["COUNTERSTEP_MCP_URL"], "headers": bearer}
    tools = await MultiServerMCPClient({"saga": saga}).get_tools()
    agent = create_agent("openai:travel-model", tools, system_prompt="You book trips.")
    wish = {"role": "user", "content": os.environ["COUNTERSTEP_INPUT"]}
    print((await agent.ainvoke({"messages": [wish]}))["messages"][-1].content)


asyncio.run(main())
