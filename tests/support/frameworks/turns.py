"""What the model of a framework's agent is to say stands in its question, so that a kill changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from counterstep import Saga
from counterstep.saga.errors import DefinitionError
from counterstep.tests.support.bundles.desk import hand_over, look, put
from counterstep.tests.support.bundles.till import pay
from counterstep.tests.support.frameworks import alike

TOOLS = [put, look, pay]

WRONG: list[Any] = [
    [put, "desk.put"],
    [hand_over],
    ["desk.putt"],
    [len],
    put,
    [look, alike.look],
]

TOKENS = 10
"""What an answer costs: so many in, and so many out."""


ECHO = "echo"
"""As the last answer: what the tools of the turn before have told."""


def turns(*said: Sequence[tuple[str, dict[str, Any]]] | str) -> str:
    """Writes the question: a turn is tool calls, by name and arguments, or the last answer."""
    return json.dumps(said)


async def fault_of(saga_tools: Callable[[Saga, Any], Any]) -> list[str]:
    """What `saga_tools` says of what cannot be: inside of a saga, before it and after it."""

    def fault(given: Any) -> str:
        try:
            saga_tools(saga, given)
        except DefinitionError as error:
            return str(error)
        return "none"

    saga = Saga()
    faults = [fault([put])]
    async with saga:
        faults += [fault(given) for given in WRONG]
    return [*faults, fault([put])]
