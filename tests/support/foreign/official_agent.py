"""A hotel by the official SDK's server, as a program: ``official_agent.py PORT BOOKINGS TASKS``.

Its tasks are kept in a database, so that it knows them after it was started again. A booking is a row.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys

import uvicorn
from a2a.helpers import get_data_parts, new_data_part, new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import DatabaseTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette


class Rows:
    """The bookings."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.run("create table if not exists bookings(message text, city text, state text)")

    def run(self, statement: str, *values: object) -> list[tuple[str, ...]]:
        with sqlite3.connect(self._path, timeout=20, isolation_level=None) as db:
            return db.execute(statement, values).fetchall()


class Hotel(AgentExecutor):
    """Books a room, and does what the request says besides."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        task = context.current_task or new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        [asked] = get_data_parts(context.message.parts)
        if asked.get("ends") == "rejected":
            await updater.reject(new_text_message("no rooms", task.context_id, task.id))
            return
        await updater.start_work()
        key = context.message.message_id
        self._rows.run("insert into bookings values(?, ?, 'booked')", key, asked["city"])
        await asyncio.sleep(asked.get("seconds", 0))
        if asked.get("ends") == "failed":
            await updater.failed(new_text_message("the roof is gone", task.context_id, task.id))
        elif asked.get("ends") == "asks":
            await updater.requires_input(new_text_message("which bed?", task.context_id, task.id))
        elif asked.get("ends") == "locks":
            await updater.requires_auth(new_text_message("members only", task.context_id, task.id))
        else:
            room = f"room in {asked['city']}"
            if asked.get("ends") == "echo" and context.call_context is not None:
                room = f"room for {context.call_context.state['headers']['authorization']}"
            await updater.add_artifact([new_data_part({"room": room})])
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None and context.context_id is not None
        self._rows.run("update bookings set state='cancelled' where message=?", context.context_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def main() -> None:
    """Serves for ever."""
    port, bookings, tasks = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    card = AgentCard(
        name="hotel",
        description="Books rooms.",
        version="1",
        supported_interfaces=[
            AgentInterface(
                url=f"http://127.0.0.1:{port}/a2a", protocol_binding="JSONRPC", protocol_version="1.0"
            )
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["application/json"],
        default_output_modes=["application/json"],
        skills=[AgentSkill(id="book", name="book", description="Books a room.", tags=["hotel"])],
    )
    store = DatabaseTaskStore(create_async_engine(f"sqlite+aiosqlite:///{tasks}"))
    handler = DefaultRequestHandlerV2(Hotel(Rows(bookings)), store, card)
    routes = [*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/a2a")]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
