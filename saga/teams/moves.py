"""What a planner can decide to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import FailureType
from .state import TeamState

OUTPUT = "output"
"""Where the answer itself stands in what a member says who is to say more than that."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an embedding model is asked: how similar a text is to phrases.

    Attributes:
        model: The litellm name of the model.
        text: The text.
        phrases: The phrases, by the name of what they stand for.
    """

    model: str
    text: str
    phrases: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Draw:
    """A draw of one of several members that could do the same job.

    Attributes:
        members: Whom, as the team calls them.
        ahead: By how many calls under way one may be ahead of the least busy.
    """

    members: tuple[str, ...]
    ahead: int


@dataclass(frozen=True, slots=True)
class MemberCall:
    """One member that is to be asked.

    Attributes:
        member: Who, as the team calls it.
        purpose: What for; see `Turn`.
        round: In which round of the pattern.
        reason: Why this member, and why now; people read it.
        say: What the team tells it besides its input; JSON, an object with a word for each thing.
        builds_on: The numbers of the turns on whose effects it builds: they are not undone without it.
        final: Whether its answer may become the team's, and so has to fit the team's output.
        schema: JSON Schema of the answer, in place of the member's own.
        beside: JSON Schemas of what it is to say beside its answer, by name. The answer is then an object of
            these and ``output``; Python code may give its plain answer all the same.
        introduces: Those of whom the team tells it who they are, as the team calls them.
        temperature: In place of the member's own.
        stage: How far the team is, for people, e.g. ``2/2``.
        aggregates: Whether it makes one answer of several.
        service: What is asked in place of a member; `member` is then what the team calls the service.
        route: Of who does a job that was routed: how it came to that, for the decision log; JSON.
        drawn: Whether the member was drawn of equals, so that it counts how well it does.
    """

    member: str
    purpose: str
    round: int = 1
    reason: str = ""
    say: Mapping[str, Any] | None = None
    builds_on: frozenset[int] = frozenset()
    final: bool = False
    schema: Mapping[str, Any] | None = None
    beside: Mapping[str, Mapping[str, Any]] | None = None
    introduces: tuple[str, ...] = ()
    temperature: float | None = None
    stage: str = ""
    aggregates: bool = False
    service: Comparison | Draw | None = None
    route: Mapping[str, Any] | None = None
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class AskMembers:
    """Ask members, side by side with those that are being asked already.

    Attributes:
        calls: At least one.
    """

    calls: Sequence[MemberCall]


@dataclass(frozen=True, slots=True)
class AwaitTurn:
    """Wait until one of those that are being asked has ended; at least one is."""


@dataclass(frozen=True, slots=True)
class UndoTurns:
    """Undo what turns did; those that have not ended are stopped, and waited for.

    Attributes:
        turns: Their numbers; each is running or has answered, and none that stands builds on them but those.
        reason: Why; every compensation is told.
    """

    turns: frozenset[int]
    reason: str


@dataclass(frozen=True, slots=True)
class GiveAnswer:
    """The team's answer. All other turns are stopped, waited for and undone before it is checked.

    Attributes:
        output: The answer.
        keep: The numbers of the turns whose effects stand, with those that they build on.
        reason: How it came about, and why the team stops here.
        contradictions: Where answers contradict each other.
        importance: How much each member has added, as parts of 1; empty where nobody was asked for that.
    """

    output: Any
    keep: frozenset[int]
    reason: str
    contradictions: Sequence[Mapping[str, Any]] = ()
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReachLimit:
    """A limit of the team is reached; what follows says its `on_limit`.

    Attributes:
        message: Which one.
        finisher: Who sums up what there is, where it is to finish, as the team calls it.
        keep: The numbers of the turns whose effects stand where it is to finish.
        type: As what it fails where it is to fail.
        say: What there is, for the one who sums up or the person who decides.
    """

    message: str
    finisher: str
    keep: frozenset[int]
    type: FailureType = FailureType.CAP_REACHED
    say: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailTeam:
    """The team cannot answer.

    Attributes:
        message: Why.
        type: As what it fails.
    """

    message: str
    type: str = FailureType.TEAM_FAILED


Move = AskMembers | AwaitTurn | UndoTurns | GiveAnswer | ReachLimit | FailTeam


class Planner(Protocol):
    """Says what comes next, from nothing but the state: the same state gives the same move."""

    def next(self, state: TeamState) -> Move:
        """Returns the next move.

        Raises:
            ExpressionError: An expression of the team failed.
        """
