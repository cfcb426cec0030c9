import asyncio
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import StreamableHttpServerParams, mcp_server_tools

KNOWN = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}


async def main():
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    saga = StreamableHttpServerParams(url=os.environ["COUNTERSTEP_MCP_URL"], headers=bearer)
    client = OpenAIChatCompletionClient(model="travel-model", model_info=KNOWN)
    agent = AssistantAgent(
        "travel",
        client,
        tools=await mcp_server_tools(saga),
        system_message="You book trips.",
        max_tool_iterations=10,
    )
    print((await agent.run(task=os.environ["COUNTERSTEP_INPUT"])).messages[-1].content)


asyncio.run(main())
