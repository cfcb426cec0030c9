"""The agent card: the tasks as skills, and how to call them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from a2a.types import a2a_pb2 as pb
from a2a.utils.constants import PROTOCOL_VERSION_1_0, TransportProtocol
from a2a.utils.signing import create_agent_card_signer
from google.protobuf.json_format import ParseDict

from ..runtime.signing_key import SigningKey
from ..saga.counted import counted
from ..saga.spec.task_spec import TaskSpec
from .callers import Callers
from .door import KEYS_PATH

INPUTS: Final = "urn:counterstep:a2a:inputs:v1"
"""The extension of the card that has the JSON Schemas of the inputs, by task."""

_JSON: Final = "application/json"
_TEXT: Final = "text/plain"
_SCHEME: Final = "bearer"


def agent_card(
    tasks: Mapping[str, TaskSpec],
    url: str,
    *,
    callers: Callers | None,
    push: bool,
    key: SigningKey | None,
) -> pb.AgentCard:
    """Returns the card.

    Args:
        tasks: The tasks that are served, by name.
        url: Where they are called.
        callers: Who may call; None for everybody on this machine.
        push: Whether notifications are sent.
        key: Signs the card; None for a card without a signature.
    """
    schemas: dict[str, Any] = {name: spec.input or {"type": "object"} for name, spec in tasks.items()}
    named = pb.AgentExtension(uri=INPUTS, description="The JSON Schema of each task's input.")
    ParseDict(schemas, named.params)
    bundles = ", ".join(sorted({name.partition(".")[0] for name in tasks}))
    about = "Its tasks are durable: they finish with checked output, or undo everything that they did."
    card = pb.AgentCard(
        name=bundles,
        description=f"{counted(len(tasks), 'task')} of {bundles}. {about}",
        version=hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()[:12],
        supported_interfaces=[
            _interface(url, TransportProtocol.JSONRPC),
            _interface(url, TransportProtocol.HTTP_JSON),
        ],
        capabilities=pb.AgentCapabilities(streaming=True, push_notifications=push, extensions=[named]),
        default_input_modes=[_JSON, _TEXT],
        default_output_modes=[_JSON],
        skills=[_skill(name, spec) for name, spec in tasks.items()],
    )
    if callers is not None:
        scheme = pb.HTTPAuthSecurityScheme(scheme="Bearer", bearer_format=callers.format)
        card.security_schemes[_SCHEME].http_auth_security_scheme.CopyFrom(scheme)
        card.security_requirements.add().schemes[_SCHEME].SetInParent()
    if key is None:
        return card
    header: Any = {"kid": key.id, "alg": key.algorithm, "typ": "JOSE", "jku": f"{url}{KEYS_PATH}"}
    return create_agent_card_signer(key.jwk.key, header)(card)


def _interface(url: str, binding: TransportProtocol) -> pb.AgentInterface:
    return pb.AgentInterface(url=url, protocol_binding=binding.value, protocol_version=PROTOCOL_VERSION_1_0)


def _skill(name: str, spec: TaskSpec) -> pb.AgentSkill:
    needed = ", ".join((spec.input or {}).get("required", []))
    takes = f" Its input is JSON with {needed}." if needed else ""
    goal = spec.goal or f"Runs the task {name}."
    bundle, _, short = name.partition(".")
    return pb.AgentSkill(
        id=name,
        name=short or name,
        description=f"{goal}{takes} Name it in the metadata of the message: task = {name}.",
        tags=[bundle, "durable", "undoable"],
    )
