"""Where scenes are played: one server and one worker of everything that tests know, one stage a scene."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from counterstep.embedded import find_program
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.record.search_attributes import SEARCH_ATTRIBUTES
from counterstep.testing.model_server import ModelServer
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.agents import team
from counterstep.tests.support.bundles.claims import claims
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import VARIABLE, Desk, desk
from counterstep.tests.support.bundles.nest import Plain, nest
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.tasks.workers import THREADS
from counterstep.tests.support.workflows.own_workflows import Buggy, FiveSteps
from counterstep.tests.support.workflows.sagas import Errand, errands

WORKFLOWS: list[type] = [Errand, FiveSteps, Buggy, Plain]
"""Workflows of nobody's bundle; a change of one that is recorded has to replay, as with those of users."""

QUEUE = "histories"

WHO = "recorder"
"""Whom histories name as worker and client: not this machine."""

SHORT = 30
"""Events after which the server of short histories suggests to continue as new."""


def plugin() -> CounterstepPlugin:
    """The plugin with which scenes are played, and replayed."""
    return CounterstepPlugin([desk, errands, nest, team, till, claims, crew], inline_specs=True)


class Stage(Tasks):
    """Starts the one workflow of a scene, under the scene's name.

    Attributes:
        effects: What really happened.
        models: The server of all models; a scene says which model says what.
    """

    def __init__(self, client: Client, name: str, effects: Desk, models: ModelServer) -> None:
        super().__init__(client, QUEUE)
        self.name = name
        self.effects = effects
        self.models = models

    async def start_workflow(self, workflow: str, *args: Any) -> WorkflowHandle[Any, Any]:
        """Starts it; its only run, or its first."""
        return await self.client.start_workflow(workflow, args=args, id=self.name, task_queue=QUEUE)

    def child(self, path: str) -> WorkflowHandle[Any, Any]:
        """The child workflow at a path."""
        return self.client.get_workflow_handle(f"{self.name}/{path}")


class Theatre:
    """A server and a worker."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[Stage]:
        """Sets the stage for one scene: an empty desk, and models that say nothing yet."""
        path = self._folder / name / "desk.sqlite"
        path.parent.mkdir()
        async with ModelServer() as models:
            with pytest.MonkeyPatch.context() as patch:
                for variable, value in {**models.environment, VARIABLE: str(path)}.items():
                    patch.setenv(variable, value)
                yield Stage(self._client, name, Desk(path), models)


@asynccontextmanager
async def theatre(folder: Path, *, short_histories: bool) -> AsyncIterator[Theatre]:
    """Opens a theatre.

    Args:
        folder: Where the desks stand.
        short_histories: Let the server suggest after a few events already to continue as new.
    """
    async with _server(short_histories) as address:
        client = await Client.connect(address, plugins=[plugin()], identity=WHO)
        async with Worker(
            client, task_queue=QUEUE, workflows=WORKFLOWS, activity_executor=THREADS, identity=WHO
        ):
            yield Theatre(client, folder)


@asynccontextmanager
async def _server(short_histories: bool) -> AsyncIterator[str]:
    if not short_histories:
        with temporal_server() as server:
            yield server.address
        return
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=os.fspath(find_program()),
        dev_server_log_level="error",
        dev_server_extra_args=[
            *(f"--search-attribute={name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()),
            f"--dynamic-config-value=limit.historyCount.suggestContinueAsNew={SHORT}",
        ],
    ) as environment:
        yield environment.client.service_client.config.target_host
