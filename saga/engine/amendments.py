"""New facts for a running task: what they make worthless is undone and runs again."""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import FailureType
from ..failure import Failure
from ..names import nearest
from ..people.signatures import Signatures
from ..people.updates import Amend, refused
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..spec.arguments import is_same
from ..temporal.handlers import serve_update, settle
from ..temporal.stop_scope import StopScope
from .graph_run import GraphRun
from .redo import Redo

MAX_FACTS = 100_000
"""Bytes of all facts of one task: they are on its board, and travel with it into a continued run."""

_FORWARD = frozenset({TaskState.RUNNING, TaskState.WAITING, TaskState.NEEDS_ATTENTION})


class Amendments:
    """Takes facts from the update ``amend`` and has the affected steps of a task's graph run again.

    Affected are the steps that the message names, those whose expressions read a fact that has changed, and
    all that depend on them; a group counts as one step. Everything else stays as it was executed.
    """

    def __init__(self, record: TaskRecord, graph: GraphRun, scope: StopScope) -> None:
        """Serves the update from now on."""
        self._record = record
        self._graph = graph
        self._scope = scope
        self._ended = False
        self._signatures = Signatures(record)
        self._group_of = _groups(graph)
        serve_update("amend", self._amend, self._check)

    def end(self) -> None:
        """Takes none any more: the task goes back, or is done."""
        self._ended = True

    def _check(self, argument: Any = None) -> None:
        self._may_amend(self._signatures.check(Amend, argument).message)

    def _may_amend(self, message: Amend) -> None:
        if self._ended or self._scope.stopped or self._record.state not in _FORWARD:
            raise refused(f"the task takes no new facts any more: {self._why_not()}")
        if not message.facts and not message.invalidates:
            raise refused("say what has changed: facts, or steps that are to be done again in invalidates")
        for name in message.facts:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise refused(f"{name!r} cannot be read as facts.NAME; take letters, digits and _")
        size = len(json.dumps({**self._record.facts, **message.facts}))
        if size > MAX_FACTS:
            raise refused(f"the facts would have {size} bytes; the most is {MAX_FACTS}")
        for name in message.invalidates:
            if name not in self._group_of:
                raise refused(f"invalidates: there is no step {name!r}{nearest(name, self._group_of)}")
        past = [name for name in self._affected(message) if self._is_past(name)]
        if past:
            raise refused(f"{', '.join(past)}: past the point of no return nothing is undone any more")

    async def _amend(self, argument: Any = None) -> dict[str, Any]:
        await settle()
        signed = self._signatures.read(Amend, argument)
        message = signed.message
        self._may_amend(message)
        self._signatures.use(signed)
        changed = self._changed(message)
        affected = self._affected(message)
        self._record.learn(message.facts)
        facts = ", ".join(message.facts) or "no facts"
        proven = signed.proof is not None
        self._record.log.add(message.by, f"amends {facts}", "", message.note, proven=proven)
        if affected:
            reason = message.note or f"new facts: {facts}"
            failure = Failure(step="", type=FailureType.AMENDED, message=reason)
            told = {"step": "", "type": failure.type, "message": reason, "verdicts": []}
            graph = self._graph.graph
            if self._graph.context.engine >= 5:
                first = self._first(message, changed)
                self._graph.redo(Redo(graph.dependents(first), failure, [told], first))
            else:
                self._graph.redo(Redo(graph.dependents(affected), failure, [told]))
        return {"affected": affected}

    def _affected(self, message: Amend) -> list[str]:
        first = self._first(message, self._changed(message))
        return self._graph.started(self._graph.graph.dependents(first))

    def _changed(self, message: Amend) -> list[str]:
        known, engine = self._record.facts, self._graph.context.engine
        told = message.facts.items()
        return [name for name, value in told if name not in known or not is_same(known[name], value, engine)]

    def _first(self, message: Amend, changed: list[str]) -> frozenset[str]:
        """Returns the steps that are done again whatever others come to."""
        first = self._graph.graph.readers_of_facts(changed) if changed else frozenset[str]()
        return first | {self._group_of[name] for name in message.invalidates}

    def _is_past(self, step_id: str) -> bool:
        """Says whether redoing a step would undo what came before the pivot, or repeat the pivot."""
        if not self._record.committed:
            return False
        before = {self._record.ledger[entry_id].step for entry_id in self._record.protected}
        return step_id in self._graph.committed or any(self._group_of.get(name) == step_id for name in before)

    def _why_not(self) -> str:
        if self._scope.stopped:
            return f"it is being rolled back ({self._scope.reason})"
        return f"it is {self._record.state.value}"


def _groups(graph: GraphRun) -> dict[str, str]:
    """Returns for each step, those inside groups included, the step of the graph that it belongs to."""
    return {name: step_id for step_id, names in graph.graph.inside().items() for name in names}
