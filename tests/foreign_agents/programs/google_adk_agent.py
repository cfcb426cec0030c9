import asyncio
import os

from google.adk.agents import LlmAgent
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams


async def main():
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    where = StreamableHTTPConnectionParams(url=os.environ["COUNTERSTEP_MCP_URL"], headers=bearer)
    agent = LlmAgent(
        name="travel",
        model=LiteLlm(model="openai/travel-model"),
        instruction="You book trips.",
        tools=[McpToolset(connection_params=where)],
    )
    runner = InMemoryRunner(agent=agent)
    events = await runner.run_debug(os.environ["COUNTERSTEP_INPUT"], quiet=True)
    print(events[-1].content.parts[0].text, flush=True)
    await runner.close()


asyncio.run(main())
