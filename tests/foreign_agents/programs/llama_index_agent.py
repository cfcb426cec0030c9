import asyncio
import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main():
    bearer = {"Authorization": f"Bearer {os.environ['COUNTERSTEP_TOKEN']}"}
    saga = BasicMCPClient(os.environ["COUNTERSTEP_MCP_URL"], headers=bearer)
    tools = await McpToolSpec(saga).to_tool_list_async()
    model = OpenAILike(model="travel-model", is_chat_model=True, is_function_calling_model=True)
    agent = FunctionAgent(tools=tools, llm=model, system_prompt="You book trips.")
    print(await agent.run(os.environ["COUNTERSTEP_INPUT"]))


asyncio.run(main())
