"""Who has said something is proven by a signed token, where keys are configured.

Signatures are verified in the validators of updates only: what they refuse leaves no trace in history, and
they are not run on replay, when other keys may count. A handler reads the claims of a token that was verified
before. So a worker without keys takes no tokens at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from temporalio import workflow

from ..fault_texts import faults_in
from ..record.task_record import TaskRecord
from ..spec.approval import Role
from ..spec.arguments import canonical
from .updates import Amend, Answer, Decide, Resolve, Who, read_message, refused

NOT_SIGNED: Final = "this is not signed, and the workers take signed decisions only: send a token"
"""Why workers with keys refuse a claim; whoever takes answers from people can ask for a token then."""

EARLY: Final = 10.0
"""Seconds by which the clock of whoever signs may be ahead."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SaidT = TypeVar("SaidT", Decide, Resolve, Amend)
_Said = Decide | Resolve | Amend


class Keys(Protocol):
    """Knows the keys of those who sign."""

    def claims(self, token: str) -> Mapping[str, Any]:
        """Verifies the signature of a token.

        Returns:
            Its claims; times are not checked.

        Raises:
            ValueError: It is not signed with one of the keys; the message says why, in one sentence.
        """


class KeyHolder:
    """The keys of this process, which its worker keeps fresh.

    Attributes:
        keys: None where none are configured.
    """

    keys: Keys | None = None


KEYS: Final = KeyHolder()
"""Where the validators of all workflows of this process find the keys."""


class Proof(BaseModel):
    """The claims of a token.

    Attributes:
        sub: Who signs in.
        roles: The roles of that person.
        iat: When it was issued, in seconds since 1970.
        nbf: From when it counts.
        exp: Until when it counts.
        jti: Its id; each token counts once.
        task: The workflow id that it is for.
        step: The step that it is for; empty with `amend`.
        action: The action that it is for; ``amend`` for new facts.
        hash: What was shown, where the question has a hash.
        value_hash: `value_hash` of the value, where there is one.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    sub: Who
    roles: Annotated[list[Role], Field(max_length=200)] = []
    iat: Seconds
    nbf: Seconds | None = None
    exp: Seconds
    jti: Annotated[str, Field(min_length=1, max_length=200)]
    task: str
    step: str = ""
    action: str
    hash: str | None = None
    value_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Signed(Generic[SaidT]):
    """What somebody says, and the proof of it.

    Attributes:
        message: What is said; with a proof its `by` and `hash` are those of the proof.
        proof: None where it is a claim.
    """

    message: SaidT
    proof: Proof | None

    def answer(self, step: str, action: str, value: Any = None) -> Answer:
        """Returns it as an answer to a question."""
        return Answer(
            step=step,
            action=action,
            value=value,
            by=self.message.by,
            note=self.message.note,
            roles=frozenset(self.proof.roles) if self.proof is not None else frozenset(),
            proven=self.proof is not None,
        )


def value_hash(value: Any) -> str:
    """Returns the hash by which a token names a value: 128 bits of SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def check_signature(message: _Said) -> Proof | None:
    """Verifies the token of an update; only validators do that.

    Returns:
        What it proves; None where no keys are configured.

    Raises:
        ApplicationError: It proves nothing, or not at this time (type ``Refused``).
    """
    keys, token = KEYS.keys, message.token
    if keys is None:
        if token is not None:
            raise refused("the token cannot be checked: set COUNTERSTEP_DECISION_KEYS on the workers")
        return None
    if token is None:
        raise refused(NOT_SIGNED)
    try:
        claims = keys.claims(token)
    except ValueError as error:
        raise refused(f"the token is refused: {error}") from None
    proof = _proof(claims)
    now = workflow.now().timestamp()
    if proof.exp <= now:
        raise refused("the token has expired; sign the decision anew")
    if max(proof.iat, proof.nbf or 0.0) > now + EARLY:
        raise refused("the token does not count yet; the clock of whoever has signed it may be ahead")
    return proof


class Signatures:
    """The signed tokens of one task."""

    def __init__(self, record: TaskRecord) -> None:
        """Prepares for tokens; those that were used are in the record."""
        self._record = record

    def check(self, kind: type[SaidT], argument: Any) -> Signed[SaidT]:
        """Reads an update in its validator, and verifies its token.

        Raises:
            ApplicationError: It has another shape, or its token does not prove just this (``Refused``).
        """
        message = read_message(kind, argument)
        check_signature(message)
        return self._bound(message)

    def read(self, kind: type[SaidT], argument: Any) -> Signed[SaidT]:
        """Reads in its handler what the validator has let through; raises as `check`.

        The same token may have come twice at once.
        """
        return self._bound(read_message(kind, argument))

    def use(self, signed: Signed[SaidT]) -> None:
        """Lets the token of an update count no more."""
        proof = signed.proof
        if proof is not None:
            now = workflow.now().timestamp()
            self._record.consent = self._record.consent.use_token(proof.jti, proof.exp, now)

    def _bound(self, message: SaidT) -> Signed[SaidT]:
        if message.token is None:
            return Signed(message, None)
        proof = _proof(_unverified(message.token))
        # Not the task of the record: a recovery tells compensations of the task that it undoes.
        fault = _fault(message, proof, workflow.info().workflow_id)
        if fault is not None:
            raise refused(f"the token is refused: {fault}")
        if proof.jti in self._record.consent.tokens:
            raise refused("the token is refused: it was used before; sign each decision by itself")
        changes = {"by": proof.sub, **({"hash": proof.hash} if isinstance(message, Decide) else {})}
        return Signed(message.model_copy(update=changes), proof)


def _proof(claims: Mapping[str, Any]) -> Proof:
    try:
        return Proof.model_validate(claims)
    except ValidationError as error:
        raise refused(f"the token is refused: {faults_in(error, 'its claims')}") from None


def _unverified(token: str) -> Mapping[str, Any]:
    """Reads the claims of a token whose signature was verified in the validator."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, IndexError):
        claims = None
    if not isinstance(claims, Mapping):
        raise refused("the token is refused: it is not a signed JWT")
    return claims


def _fault(message: _Said, proof: Proof, task_id: str) -> str | None:
    """Says what a token is for, where that is something else than what is said; None where it is that."""
    if proof.task != task_id:
        return f"it is for the task {proof.task!r}"
    if isinstance(message, Amend):
        step, action, hash_ = "", "amend", None
        value: Any = {"facts": message.facts, "invalidates": list(message.invalidates)}
    else:
        step, action, value = message.step, message.action, message.value
        hash_ = message.hash if isinstance(message, Decide) else None
    if proof.step != step:
        return f"it is for the step {proof.step!r}"
    if proof.action != action:
        return f"it is for the action {proof.action!r}"
    if hash_ is not None and proof.hash != hash_:
        return "it is for something else than what is shown now (hash)"
    if proof.value_hash != (None if value is None else value_hash(value)):
        return "it is for another value (value_hash)"
    return None
