"""The process behind explored runs: it loads the bundles once, and forks workers that may be killed.

A killed worker is replaced by a new fork within milliseconds, because importing a model client, which takes
seconds, is done only once. The explorer writes requests to stdin and reads events from stdout, with one JSON
object in each line. When stdin ends, this process and its workers end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.plugin import SimplePlugin
from temporalio.worker import Worker, WorkerDeploymentConfig

from ...bundle.loading import load_bundles
from ...bundle.registry import Registry
from ...plugin import CounterstepPlugin
from .compensation_contract import Case, check_contracts
from .effect_ledger import EffectLedger
from .fault_injector import FaultInterceptor, make_answers_garblable, make_garblable
from .quick_calls import draw_the_first, quicken
from .user_hook import load_hook

_POLL_SECONDS: Final = 0.02
_STICKY: Final = timedelta(milliseconds=300)
_ENOUGH_DEATHS: Final = 20
_DEPLOYMENT: Final = WorkerDeploymentConfig(
    version=WorkerDeploymentVersion("counterstep-explore", "explored"), use_worker_versioning=False
)
"""Otherwise each worker makes a hash of all modules to name its build, which takes half a second."""


class WorkerSetup(BaseModel):
    """The setup of the workers.

    Attributes:
        bundles: The bundles as ``module:attribute``.
        address: The Temporal server.
        ledger: The file of the effect ledger.
        models: The litellm names for all model agents; empty for the stand-in.
        judges: Those that the stand-in plays in any case.
        effects: The user's function that returns the effects that stand, as ``module:function``, or None.
    """

    model_config = ConfigDict(frozen=True)

    bundles: tuple[str, ...]
    address: str = ""
    ledger: Path = Path()
    models: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    effects: str | None = None


class WorkerRequest(BaseModel):
    """What the explorer asks for: exactly one of these.

    Attributes:
        serve: Keep a worker alive on this queue.
        end: Kill the worker of this queue.
        contract: Check compensations, in a process of its own.
    """

    model_config = ConfigDict(frozen=True)

    serve: str | None = None
    end: str | None = None
    contract: tuple[Case, ...] | None = None


class _Nursery:
    """Forks workers, and replaces those that have died."""

    def __init__(self, nest: WorkerSetup, events: int) -> None:
        self._nest = nest
        self._events = events
        bundles = load_bundles(nest.bundles)
        quicken(bundles, nest.models, nest.judges)
        draw_the_first()
        self._plugin = CounterstepPlugin(bundles, inline_specs=True)
        self._registry: Registry = self._plugin.registry
        for function in self._registry.functions.values():
            make_garblable(function)
        make_answers_garblable(self._plugin.mcp)
        # litellm takes seconds to import and to warm up: once, for all forks.
        from ...activities.models.litellm_client import warm_up

        if any(agent.asks_models for bundle in bundles for agent in bundle.agents.values()):
            warm_up()
        self._children: dict[int, str] = {}
        self._deaths: dict[str, int] = {}
        self._life, self._heart = os.pipe()
        gc.freeze()

    def tell(self, **event: Any) -> None:
        """Writes one event for the explorer."""
        os.write(self._events, f"{json.dumps(event)}\n".encode())

    def answer(self, request: WorkerRequest) -> None:
        """Does what the explorer asks for."""
        if request.serve is not None:
            self._serve(request.serve)
        elif request.end is not None:
            for pid in [pid for pid, queue in self._children.items() if queue == request.end]:
                del self._children[pid]
                os.kill(pid, signal.SIGKILL)
        elif request.contract is not None:
            cases = request.contract
            self._fork("contract", lambda events: self._check(cases, events))

    def reap(self) -> None:
        """Replaces or forgets the child processes that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._children.pop(pid, None)
            if name is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            self._deaths[name] = self._deaths.get(name, 0) + 1
            if code == -signal.SIGKILL and self._deaths[name] < _ENOUGH_DEATHS:
                self._serve(name)
            else:
                self.tell(ended=name, code=code)

    def _serve(self, queue: str) -> None:
        self._fork(queue, lambda _: asyncio.run(self._work(queue)))

    def _fork(self, name: str, run: Callable[[int], None]) -> None:
        pid = os.fork()
        if pid:
            self._children[pid] = name
            return
        code = 1
        try:
            os.close(self._heart)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            run(self._events)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    async def _work(self, queue: str) -> None:
        # Nobody writes to this pipe: it is readable when the process at its other end has gone.
        asyncio.get_running_loop().add_reader(self._life, os._exit, 1)
        ledger = EffectLedger(self._nest.ledger)
        # The later plugin's interceptor is the inner one: what it breaks has heartbeats and bounds.
        breaking = SimplePlugin("counterstep.FaultPlugin", interceptors=[FaultInterceptor(ledger)])
        client = await Client.connect(self._nest.address, plugins=[self._plugin, breaking])
        worker = Worker(
            client,
            task_queue=queue,
            sticky_queue_schedule_to_start_timeout=_STICKY,
            deployment_config=_DEPLOYMENT,
        )
        # A program takes longer to start than a call may take here.
        await self._plugin.mcp.open(self._registry.mcp.servers)
        await worker.run()

    def _check(self, cases: Sequence[Case], events: int) -> None:
        effects = load_hook(self._nest.effects) if self._nest.effects else None
        findings = asyncio.run(check_contracts(cases, self._registry, effects))
        line = json.dumps({"findings": [finding.model_dump(mode="json") for finding in findings]})
        os.write(events, f"{line}\n".encode())


def main() -> NoReturn:
    """Runs the process; see the module."""
    events = os.dup(1)
    os.dup2(2, 1)  # what bundles print is not an event
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    requests = _lines(0)
    try:
        nursery = _Nursery(WorkerSetup.model_validate_json(next(filter(None, requests))), events)
    except Exception as error:
        os.write(events, f"{json.dumps({'failed': f'{type(error).__name__}: {error}'})}\n".encode())
        os._exit(1)
    nursery.tell(ready=os.getpid())
    for line in requests:
        if line:
            nursery.answer(WorkerRequest.model_validate_json(line))
        nursery.reap()
    os._exit(0)


def _lines(stream: int) -> Any:
    """Yields lines as they arrive, and an empty one every now and then."""
    buffer = b""
    while True:
        readable, _, _ = select.select([stream], [], [], _POLL_SECONDS)
        if not readable:
            yield ""
            continue
        data = os.read(stream, 65536)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        yield from (line.decode() for line in lines)


if __name__ == "__main__":
    main()
