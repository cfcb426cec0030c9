import asyncio
import os

from agent_framework import Agent, MCPStreamableHTTPTool
from agent_framework.openai import OpenAIChatClient


async def main():
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    saga = MCPStreamableHTTPTool(
        name="saga", url=os.environ["COUNTERSTEP_MCP_URL"], header_provider=lambda _: bearer
    )
    async with saga:
        agent = Agent(OpenAIChatClient(model="travel-model"), "You book trips.", tools=saga)
        print((await agent.run(os.environ["COUNTERSTEP_INPUT"])).text)


asyncio.run(main())
