import asyncio
import os

from agents import Agent, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp


async def main():
    set_tracing_disabled(True)
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    saga = MCPServerStreamableHttp({"url": os.environ["COUNTERSTEP_MCP_URL"], "headers": bearer})
    async with saga:
        agent = Agent(name="travel", instructions="You book trips.", model="travel-model", mcp_servers=[saga])
        print((await Runner.run(agent, os.environ["COUNTERSTEP_INPUT"])).final_output)


asyncio.run(main())
