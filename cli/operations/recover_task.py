"""Recovers one task: finds what it has left behind, starts its recovery, and waits until that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    PinnedVersioningOverride,
    WorkerDeploymentVersion,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from ...histories.outstanding import Outstanding
from ...histories.payload_reader import PayloadReader
from ...histories.run_chain import RunChain, find_chain, judge, recovery_id
from ...runtime.connection import has_workers
from ...saga.history_format import RECOVER
from ...saga.record.task_state import TaskState
from ...saga.recovery.request import NotRecoverable, RecoveryRequest, Refusal
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..terminal.output import say
from ..terminal.signals import Signals
from .await_recovery import RecoveryWait, nobody
from .recovery_report import FoundEffect, RecoverOptions, RecoveryReport

_SUMMARY: Final = 200


async def recover_task(target: ServerTarget, asked: RecoverOptions, *, wait: bool) -> RecoveryReport:
    """Recovers a task.

    Args:
        target: The server.
        asked: The task and how to recover it.
        wait: Whether to wait for the end.

    Returns:
        How far the recovery has come.

    Raises:
        CommandFailed: The task may not be recovered, or no worker is there.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    try:
        chain = await find_chain(client, asked.id, asked.run_id)
        left = await examine(client, chain, not_applied=asked.not_applied)
    except NotRecoverable as refusal:
        raise CommandFailed(str(refusal), type=refusal.type) from None
    for item in left.entries:
        known = "" if item.known else " (nobody knows whether it happened)"
        say(f"{item.step}: is to be undone by {item.newest.compensation}{known}")
    for name in left.unread:
        say(f"{name}: only the workers can read what it has left")
    queue = asked.task_queue or chain.newest.task_queue
    signals = Signals()
    if chain.newest.version:
        say(_who_undoes(chain.newest.version, asked.version))
    handle = await start_recovery(client, chain, queue, not_applied=asked.not_applied, version=asked.version)
    say(" ".join(filter(None, (handle.id, target.link(handle.id)))))
    found = tuple(_effect(left))
    started = RecoveryReport(
        workflow_id=asked.id,
        run_id=chain.newest.run_id,
        recovery_id=handle.id,
        state=TaskState.RUNNING,
        found=found,
    )
    if wait:
        return await RecoveryWait(client, target, handle, queue, signals).for_end(started, asked)
    if not await has_workers(client, queue):
        say(f"No worker polls its queue {queue!r}; start one: {target.worker_command(queue)}")
    return started


async def examine(client: Client, chain: RunChain, *, not_applied: bool = False) -> Outstanding:
    """Finds out what a task has left behind, as far as a client without keys can read it.

    Args:
        client: A connected client.
        chain: The runs of the task.
        not_applied: Whether a person knows that a pivot of unknown outcome was not applied.

    Returns:
        What is left: at least one effect, or something that only the workers can read.

    Raises:
        NotRecoverable: The task may not be recovered, or there is nothing to undo.
        RPCError: The server does not answer.
    """
    chain.refuse()
    reader = PayloadReader(client.data_converter, client.namespace, strict=False)
    _, left = await judge(client, chain, reader, not_applied=not_applied, alive=nobody)
    if not left.entries and not left.unread:
        raise NotRecoverable(Refusal.NOTHING_TO_UNDO, _nothing_left(chain.newest.workflow_id, left))
    return left


def _nothing_left(id: str, left: Outstanding) -> str:
    if left.skipped:
        steps = ", ".join(dict.fromkeys(item.step for item in left.skipped))
        return f"{id} has nothing left to undo but what somebody has decided to leave: {steps}."
    if left.undone:
        return f"{id} is undone already: nothing is left."
    return f"{id} has nothing to undo: it has changed nothing."


async def start_recovery(
    client: Client,
    chain: RunChain,
    task_queue: str,
    *,
    not_applied: bool = False,
    version: str | None = None,
) -> WorkflowHandle[Any, Any]:
    """Starts the recovery of a chain once; only after a failed recovery may another one start.

    Raises:
        CommandFailed: Somebody else has started the recovery, or the version is not written as it should be.
        RPCError: The server does not answer or refuses.
    """
    newest, id_ = chain.newest, recovery_id(chain.newest)
    request = RecoveryRequest(
        workflow_id=newest.workflow_id, run_id=newest.run_id, not_applied=not_applied
    ).model_dump(mode="json")
    try:
        await client.start_workflow(
            RECOVER,
            args=[request] if not_applied else [],
            id=id_,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            static_summary=f"undo what {newest.workflow_id} has left behind"[:_SUMMARY],
            versioning_override=None if version is None else _pinned_to(version),
        )
    except WorkflowAlreadyStartedError:
        message = f"{newest.workflow_id} is recovered by {id_} already: somebody was faster."
        raise CommandFailed(message, type=Refusal.ALREADY_RECOVERED) from None
    return client.get_workflow_handle(id_)  # of whichever run it goes on in


def _pinned_to(version: str) -> PinnedVersioningOverride:
    try:
        return PinnedVersioningOverride(WorkerDeploymentVersion.from_canonical_string(version))
    except ValueError:
        raise CommandFailed(f"{version!r} is not a version; write it as DEPLOYMENT.BUILD.") from None


def _who_undoes(was: str, version: str | None) -> str:
    if version is not None:
        return f"It ran on the version {was}; the workers of {version} undo it."
    return (
        f"It ran on the version {was}; the workers of the version that is current now undo it. "
        f"--version {was} leaves that to its own."
    )


def _effect(left: Outstanding) -> Sequence[FoundEffect]:
    return [
        FoundEffect(
            id=item.id,
            step=item.step,
            compensation=item.newest.compensation or "",
            is_known=item.known is not None,
        )
        for item in left.entries
    ]
