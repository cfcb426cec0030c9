import asyncio
import os

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query


async def main():
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    server = {"type": "http", "url": os.environ["COUNTERSTEP_MCP_URL"], "headers": bearer}
    options = ClaudeAgentOptions(
        model="claude-sonnet-4-5",
        system_prompt="You book trips.",
        mcp_servers={"saga": server},
        allowed_tools=["mcp__saga__book_flight", "mcp__saga__book_hotel"],
        tools=[],
        setting_sources=[],
    )
    async for message in query(prompt=os.environ["COUNTERSTEP_INPUT"], options=options):
        if isinstance(message, ResultMessage):
            print(message.result)


asyncio.run(main())
