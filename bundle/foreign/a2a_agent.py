"""An agent elsewhere that speaks A2A."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ...a2a_client.remote_terms import RemoteTerms
from ...mcp_client.worker_variables import env_faults, filled, named_in, value_of
from ...saga.effect import Effect
from ...saga.errors import DefinitionError
from ...saga.history_format import RETRACT
from ...saga.names import NAME_ATTRIBUTE
from ...saga.spec.catalog import AgentEntry
from ..declaration import AgentPart, read_effect, read_guard_in, read_limit, read_schema, read_target

REQUEST: Final = "request"
"""By which name the undo sees what was asked."""

LONGEST_TASK: Final = timedelta(minutes=10)
"""How long a task elsewhere may take of which nothing else is said."""

_TEXT: Any = str
_HEADER: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, eq=False)
class A2AAgent(AgentPart):
    """An agent like any other that is elsewhere, and speaks A2A 1.x (JSON-RPC or HTTP+JSON).

    The worker fetches its card with every call, sends one message under the call's idempotency key, and
    follows the task to its end; another attempt finds the task again. A cancel is passed on.

    Attributes:
        name: Its name in the bundle.
        description: What it does, in one sentence.
        url: Its address; its card is at ``/.well-known/agent-card.json`` below it.
        input: The type of what it is asked; None for any JSON object.
        output: The type of its answer: the data of an artifact, or text.
        compensate: What undoes it, by name or function. ``Undo.output`` is None where nobody knows whether it
            was done; the message has the id ``Undo.idempotency_key``, and so has its context.
        effect: What it does to the world; may be left out when `compensate` is given.
        headers: Are sent with every request; ``env:VARIABLE`` in a value stands for one of the worker's, e.g.
            ``{"Authorization": "Bearer env:HOTEL_TOKEN"}``.
        keys: A file with a JWKS: a signed card has to be signed by one of these keys.
        require_signature: Whether a card that is not signed is refused.
        metadata: What each message says besides; JSON. Agents with several skills read there which is asked.
        idempotent: Whether it does a message that is sent twice only once. Without that, a message that may
            have been lost is sent again only to agents that list their tasks, and do not list it.
        timeout: How long its task may take; None for 10 minutes.
        guard: Checks of the input before it is asked; see `Agent`.
    """

    name: str
    description: str
    url: str
    input: Any = None
    output: Any = _TEXT
    compensate: Any = None
    effect: Effect | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keys: str | None = None
    require_signature: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False
    timeout: timedelta | str | None = None
    guard: Sequence[Any] = ()

    @property
    def terms(self) -> RemoteTerms:
        """How it is spoken to, with the values of the worker's variables."""
        return RemoteTerms(
            url=filled(self.url),
            headers={name: filled(value) for name, value in self.headers.items()},
            keys=self.keys,
            require_signature=self.require_signature,
            metadata=dict(self.metadata),
            idempotent=self.idempotent,
        )

    @property
    def secrets(self) -> list[str]:
        """The values of the worker's variables that it uses: for nobody's eyes."""
        return [value for name in self._variables() if (value := value_of(name))]

    def missing(self) -> Iterator[str]:
        """Yields what it needs and this machine does not have."""
        if find_spec("a2a") is None:
            yield 'the packages of A2A are not installed: pip install "counterstep[a2a]"'
        for name in self._variables():
            if not value_of(name):
                yield f"{name} is not set in the worker's environment"
        if all(map(value_of, named_in((self.url,)))) and not _is_address(filled(self.url)):
            yield f"url {self.url} is not an http or https address in the worker's environment"
        for fault in _header_faults({name: filled(value) for name, value in self.headers.items()}):
            yield f"headers: {fault}, as the worker's environment is"
        if self.keys is not None and not Path(self.keys).is_file():
            yield f"keys: there is no file {self.keys!r}"

    def _variables(self) -> list[str]:
        return named_in((self.url, *self.headers.values()))

    def _register(self, bundle: Any) -> None:
        name = bundle.free_name(self.name, "agent")
        bundle.agents[name] = self._entry(name, bundle.name)
        bundle.remotes[name] = self
        object.__setattr__(self, NAME_ATTRIBUTE, name)

    def _entry(self, name: str, bundle: str) -> AgentEntry:
        what = f"agent {name}"
        if faults := list(self._faults()):
            raise DefinitionError("\n".join(f"{what}: {fault}" for fault in faults))
        timeout = read_limit(what, self.timeout)
        return AgentEntry(
            name=name,
            description=self.description,
            effect=read_effect(what, self.effect, self.compensate, retracts=False),
            compensate=read_target(what, self.compensate, bundle) if self.compensate else RETRACT,
            python=True,  # one activity, which is ours
            interruptible=True,  # a cancel is passed on, and what was done is undone
            timeout=timeout or LONGEST_TASK,
            guard=read_guard_in(bundle, what, self.guard),
            parameters=(REQUEST,),
            input_schema=read_schema(what, "input", self.input, "validation"),
            output_schema=read_schema(what, "output", self.output, "serialization"),
        )

    def _faults(self) -> Iterator[str]:
        if not isinstance(self.description, str) or not self.description.strip():
            yield "say in its description what it does; other agents see it"
        is_open = isinstance(self.url, str) and bool(named_in((self.url,)))  # the worker knows it
        if not isinstance(self.url, str) or not (is_open or _is_address(self.url)):
            yield "url is an http or https address, without a query: the card is at a path below it"
        elif not is_open and "@" in urlsplit(self.url).netloc:
            yield "its url has credentials in it; give them by headers, as env:VARIABLE"
        if faults := [fault.replace("env", "headers") for fault in env_faults(self.headers)]:
            yield from faults
        else:
            yield from (f"headers: {fault}" for fault in _header_faults(self.headers))
        for flag in ("require_signature", "idempotent"):
            if not isinstance(getattr(self, flag), bool):
                yield f"{flag} is True or False"
        if self.keys is not None and not isinstance(self.keys, str):
            yield "keys is the path of a file with a JWKS"
        if self.require_signature and self.keys is None:
            yield "require_signature needs keys, a file with a JWKS"
        if not isinstance(self.metadata, Mapping):
            yield "metadata is a mapping"
        elif not _is_json(self.metadata):
            yield "metadata is JSON: texts, numbers, true, false, null, lists and mappings"


def _header_faults(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            yield f"{name!r} is not the name of a header"
        if not value.isascii() or not value.isprintable():
            yield f"the value of {name!r} has letters that no header can have"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of its port
        return False
    return is_complete and parts.scheme in ("http", "https") and not parts.query + parts.fragment


def _is_json(value: Any) -> bool:
    try:
        return bool(json.dumps(value, allow_nan=False) and all(isinstance(name, str) for name in value))
    except (TypeError, ValueError):
        return False
