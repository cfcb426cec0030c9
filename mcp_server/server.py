"""The MCP server: each of its tools is a call at the desk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    InputRequiredResult,
    ListToolsResult,
    TextContent,
)
from temporalio.service import RPCError

from ..saga.errors import CounterstepError
from ..saga.names import nearest
from ..saga.spec.json_schema import check_input
from ..saga.spec.task_spec import TaskSpec
from .elicitation import answered, ask, asked_back, can_ask, is_modern
from .task_answer import Question, TaskAnswer
from .task_desk import TaskDesk, Tell
from .task_tools import start_tools, tools_of

_WAIT = 20.0


class TaskServer:
    """Offers tasks as tools."""

    def __init__(self, desk: TaskDesk, tasks: Mapping[str, TaskSpec]) -> None:
        """Prepares to serve.

        Args:
            desk: Does what is asked.
            tasks: The registered tasks, by name.
        """
        self._desk = desk
        self._starts = start_tools(tasks)
        self._tools = {tool.name: tool for tool in tools_of(tasks)}

    def made(self) -> Server[Any]:
        """Returns the library's server with these tools."""
        about = "Tasks here are durable: they finish with checked output, or undo everything that they did."
        return Server(
            "counterstep",
            version="1",
            instructions=about,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(self, _: Any, __: Any) -> ListToolsResult:
        return ListToolsResult(tools=[*self._tools.values()])

    async def _call(
        self, context: ServerRequestContext[Any], asked: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        tool = self._tools.get(asked.name)
        if tool is None:
            return _failed(f"there is no tool {asked.name!r}{nearest(asked.name, self._tools)}")
        arguments = dict(asked.arguments or {})
        if faults := check_input(tool.input_schema, arguments, "arguments"):
            return _failed("; ".join(str(fault) for fault in faults))
        try:
            if asked.name == "list_tasks":
                return _told({"tasks": await self._desk.list()})
            if (said := answered(asked)) is not None:
                answer = await self._settled(*said)
                if said[1].action != "accept":
                    return _told(answer.model_dump(mode="json"))
            else:
                answer = await self._done(asked.name, arguments, _teller(context))
            return await self._asking(context, asked.name, answer)
        except CounterstepError as error:
            return _failed(str(error))
        except RPCError as error:
            return _failed(f"the Temporal server does not answer: {error.message}")

    async def _done(self, name: str, arguments: dict[str, Any], tell: Tell) -> TaskAnswer:
        seconds = arguments.get("seconds", _WAIT)
        if name in self._starts:
            given, id = arguments.get("input", {}), arguments.get("task_id")
            return await self._desk.start(self._starts[name], given, id, seconds, tell)
        id = arguments["task_id"]
        match name:
            case "watch_task":
                return await self._desk.watch(id, seconds, tell)
            case "cancel_task":
                return await self._desk.cancel(id, seconds)
            case _:
                return await self._desk.decide(
                    id,
                    arguments["step"],
                    arguments["action"],
                    arguments.get("value"),
                    arguments.get("note", ""),
                    arguments.get("hash"),
                )

    async def _asking(
        self, context: ServerRequestContext[Any], name: str, answer: TaskAnswer
    ) -> CallToolResult | InputRequiredResult:
        """Asks the person at the client what the task waits for, until it waits no more, where it can."""
        while name != "cancel_task" and can_ask(context):
            # Where several people have to answer, this one does so once.
            question = next((one for one in answer.waiting_for if not self._desk.has_said(one)), None)
            if question is None:
                break
            if is_modern(context):
                return asked_back(answer, question)
            said = await ask(context, question)
            if said is None or said.action != "accept":
                break
            answer = await self._settled(_place(answer, question), said)
        return _told(answer.model_dump(mode="json"))

    async def _settled(self, question: Mapping[str, str], said: ElicitResult) -> TaskAnswer:
        """Tells the task what the person has said; who says nothing leaves it open."""
        content = said.content or {}
        if said.action != "accept" or "action" not in content:
            return await self._desk.watch(question["task_id"], 0, _silent)
        return await self._desk.decide(
            question["task_id"],
            question["step"],
            str(content["action"]),
            None,
            str(content.get("note") or ""),
            question["hash"] or None,
        )


def _place(answer: TaskAnswer, question: Question) -> dict[str, str]:
    return {"task_id": answer.task_id, "step": question.step, "hash": question.hash}


def _teller(context: ServerRequestContext[Any]) -> Tell:
    """Returns what tells the client how far a task has come, if it wants to know."""

    async def tell(seen: TaskAnswer) -> None:
        at = f", at {', '.join(seen.at)}" if seen.at else ""
        await context.session.report_progress(
            float(seen.steps_done), float(seen.steps) if seen.steps else None, f"{seen.state}{at}"
        )

    return tell


async def _silent(_: TaskAnswer) -> None:
    return


def _told(value: dict[str, Any]) -> CallToolResult:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=value)


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=message)], is_error=True)
