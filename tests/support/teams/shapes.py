"""A team of each pattern, written in a step, with what its members say in good runs and in bad ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.teams.cast import FAILS, Words

Step = Mapping[str, Any]


@dataclass(frozen=True)
class Cap:
    """A limit of its own that a team reaches.

    Attributes:
        changes: Of the team's parameters.
        words: What is said until then.
        type: As what the team fails.
        message: What is said of the limit.
        finisher: Who sums up.
        key: The parameter that says what follows.
        sums_up: What the one who sums up says.
    """

    changes: Step
    words: Words
    message: str
    finisher: str
    type: str = "CapReached"
    key: str = "on_limit"
    sums_up: Any = field(default_factory=lambda: opinion("a summary"))


@dataclass(frozen=True)
class Shape:
    """One team.

    Attributes:
        name: What tests call it.
        team: The team as it is written in a step; or an object with ``agent``, one that asks others.
        least: What is said in a run that takes the fewest turns.
        most: What is said in a run that takes the most turns, and completes.
        verdict: The verdict of its answer.
        stands: What stands on the desk after that, each as ``MODEL N``, its number among that model's turns.
        held: Which of these calls is in the middle of it; nothing else runs by then.
        fails: What is said in a run in which the team fails after some have put things on the desk.
        reason: What its failure says.
        type: As what it fails.
        cap: The limit that it can reach; None where there is none but the number of its members.
    """

    name: str
    team: Step
    least: Words
    most: Words
    verdict: str
    stands: Sequence[str]
    held: str
    fails: Words
    reason: str
    type: str = "TeamFailed"
    cap: Cap | None = None


def opinion(verdict: str, confidence: float = 1) -> dict[str, Any]:
    """What a member says."""
    return {"verdict": verdict, "confidence": confidence}


def _each(*names: str, rounds: int = 1) -> dict[str, list[Any]]:
    """Everybody has an opinion of their own in each round."""
    return {name: [opinion(f"{name} {number + 1}") for number in range(rounds)] for name in names}


def _chosen(who: str | None) -> dict[str, Any]:
    return {"next": who, "reason": "so"}


def _checked(*issues: str) -> dict[str, Any]:
    return {"accepted": not issues, "issues": [{"id": id_, "problem": f"no {id_}"} for id_ in issues]}


def _answered(verdict: str, **answers: str) -> dict[str, Any]:
    return {"output": opinion(verdict), "answers": answers}


def _routed(to: str, confidence: float) -> dict[str, Any]:
    return {"to": to, "confidence": confidence, "reason": "so"}


def _planned(plan: str) -> dict[str, Any]:
    return {"facts": "none", "plan": plan}


def _progress(who: str | None, *, moves: bool = True) -> dict[str, Any]:
    word = {"done": who is None, "progress": moves, "in_loop": False, "next": who}
    return {**word, "instruction": "go on", "reason": "so"}


def _parts(**who: str) -> dict[str, Any]:
    return {"parts": [{"id": id_, "who": name, "do": f"do {id_}", "after": []} for id_, name in who.items()]}


def _sure(**scores: float) -> dict[str, Any]:
    parts = [{"id": id_, "score": score, "too_large": False} for id_, score in scores.items()]
    return {"parts": parts, "missing": [], "redundant": []}


THREE = ["crew.ann", "crew.bob", "crew.cid"]
TWO = THREE[:2]
YES = opinion("yes")

VOTE = Shape(
    name="vote",
    team={
        "pattern": "concurrent",
        "members": THREE,
        "combine": "vote",
        "by": "output.verdict",
        "judge": "crew.chair",
    },
    least={name: [YES] for name in ("ann", "bob", "cid")},
    most={**_each("ann", "bob", "cid"), "chair": [opinion("bob 1")]},
    verdict="bob 1",
    stands=["bob 1"],
    held="cid 1",
    fails={**_each("ann", "bob", "cid"), "chair": [FAILS]},
    reason="had to decide between the answers, has failed",
    cap=Cap({"judge": None}, _each("ann", "bob", "cid"), "the members do not agree", "ann", "NoAgreement"),
)
COMBINED = Shape(
    name="combined",
    team={"pattern": "concurrent", "members": TWO, "combine": "crew.editor"},
    least={**_each("ann", "bob"), "editor": [YES]},
    most={**_each("ann", "bob"), "editor": [YES]},
    verdict="yes",
    stands=["ann 1", "bob 1", "editor 1"],
    held="editor 1",
    fails={"ann": [opinion("ann")], "bob": [FAILS]},
    reason="1 of 2 members have failed",
)
DEBATE = Shape(
    name="debate",
    team={
        "pattern": "debate",
        "members": THREE,
        "by": "output.verdict",
        "stop": 1,
        "judge": "crew.chair",
    },
    least={name: [YES] for name in ("ann", "bob", "cid")},
    most={**_each("ann", "bob", "cid", rounds=2), "chair": [opinion("cid 2")]},
    verdict="cid 2",
    stands=["cid 2"],
    held="bob 2",
    fails={
        "ann": [opinion("a"), opinion("a")],
        "bob": [opinion("b"), FAILS],
        "cid": [opinion("c"), FAILS],
    },
    reason="1 of 3 members are left, too few for a debate",
    cap=Cap(
        {"judge": None, "rounds": 1},
        _each("ann", "bob", "cid"),
        "the members do not agree",
        "ann",
        "NoAgreement",
    ),
)
MIXTURE = Shape(
    name="mixture",
    team={"pattern": "mixture", "members": TWO, "aggregator": "crew.editor"},
    least={**_each("ann", "bob", rounds=2), "editor": [YES]},
    most={**_each("ann", "bob", rounds=2), "editor": [YES]},
    verdict="yes",
    stands=["editor 1"],
    held="bob 2",
    fails={**_each("ann", "bob", rounds=2), "editor": [FAILS]},
    reason="had to sum up, has failed",
)
SELF_MOA = Shape(
    name="self_moa",
    team={
        "pattern": "mixture",
        "members": ["crew.ann"],
        "aggregator": "crew.editor",
        "samples": 3,
        "window": 2,
    },
    least={**_each("ann", rounds=3), "editor": [opinion("so far"), YES]},
    most={**_each("ann", rounds=3), "editor": [opinion("so far"), YES]},
    verdict="yes",
    stands=["editor 2"],
    held="editor 1",
    fails={**_each("ann", rounds=3), "editor": [opinion("so far"), FAILS]},
    reason="had to sum up, has failed",
)
MAKER_CHECKER = Shape(
    name="maker_checker",
    team={"pattern": "maker_checker", "maker": "crew.ann", "checker": "crew.bob"},
    least={"ann": [YES], "bob": [_checked()]},
    most={
        "ann": [opinion("1"), _answered("2", price="10"), _answered("3", date="now")],
        "bob": [_checked("price"), _checked("date"), _checked()],
    },
    verdict="3",
    stands=["ann 3", "bob 3"],
    held="ann 2",
    fails={"ann": [opinion("1"), _answered("2", price="10")], "bob": [_checked("price"), FAILS]},
    reason="bob has not checked draft 2",
    cap=Cap(
        {"rounds": 1},
        {"ann": [opinion("1")], "bob": [_checked("price")]},
        "draft 1 was the last, and is not accepted; what it did is undone; open: price: no price",
        "ann",
        key="then",
    ),
)
CHAT = Shape(
    name="chat",
    team={
        "pattern": "group_chat",
        "members": THREE,
        "speaker": "crew.chair",
        "summary": "crew.editor",
        "max_turns": 2,
    },
    least={"chair": [_chosen("ann"), _chosen(None)], "ann": [opinion("a")], "editor": [YES]},
    most={
        "chair": [_chosen("ann"), _chosen("bob"), _chosen(None)],
        "ann": [opinion("a")],
        "bob": [opinion("b")],
        "editor": [YES],
    },
    verdict="yes",
    stands=["ann 1", "bob 1", "editor 1"],
    held="bob 1",
    fails={"chair": [_chosen("ann"), FAILS], "ann": [opinion("a")]},
    reason="chair has not chosen who is next",
    cap=Cap(
        {"max_turns": 1},
        {"chair": [_chosen("ann"), _chosen("bob")], "ann": [opinion("a")]},
        "the chat has not ended within 1 turn",
        "editor",
    ),
)
ROUND_ROBIN = Shape(
    name="round_robin",
    team={"pattern": "group_chat", "members": TWO, "done": "output.verdict == 'end'", "max_turns": 3},
    least={"ann": [opinion("end")]},
    most={"ann": [opinion("a"), opinion("end")], "bob": [opinion("b")]},
    verdict="end",
    stands=["ann 1", "bob 1", "ann 2"],
    held="bob 1",
    fails={"ann": [opinion("a"), FAILS], "bob": [FAILS]},
    reason="two have failed one after the other",
    cap=Cap(
        {},
        {"ann": [opinion("a"), opinion("a")], "bob": [opinion("b")]},
        "the chat has not ended within 3 turns",
        "ann",
    ),
)
MAGENTIC = Shape(
    name="magentic",
    team={
        "pattern": "magentic",
        "manager": "crew.chair",
        "members": TWO,
        "max_turns": 3,
        "max_stalls": 2,
        "max_resets": 1,
    },
    least={"chair": [_planned("none"), _progress(None), YES]},
    most={
        "chair": [
            _planned("first"),
            _progress("ann"),
            _progress("bob", moves=False),
            _progress("bob", moves=False),
            _planned("second"),
            _progress("bob"),
            _progress(None),
            YES,
        ],
        "ann": [opinion("a")],
        "bob": [opinion("b"), opinion("b")],
    },
    verdict="yes",
    stands=["bob 2"],
    held="bob 1",
    fails={"chair": [_planned("first"), _progress("ann"), FAILS], "ann": [opinion("a")]},
    reason="chair has made no ledger that can be used",
    cap=Cap(
        {"max_turns": 1},
        {"chair": [_planned("first"), _progress("ann"), _progress("bob")], "ann": [opinion("a")]},
        "the job is not done within 1 turn of members",
        "chair",
    ),
)
PLANNED = Shape(
    name="planned",
    team={
        "pattern": "planned",
        "planner": "crew.chair",
        "members": TWO,
        "validators": ["crew.cid"],
        "max_steps": 2,
        "max_replans": 1,
    },
    least={"chair": [_parts(one="ann"), YES], "cid": [_sure(one=1)], "ann": [opinion("a")]},
    most={
        "chair": [_parts(one="ann", two="bob"), _parts(one="bob", two="bob"), YES],
        "cid": [_sure(one=0.9, two=0.8), _sure(one=0.9, two=0.8)],
        "ann": [opinion("a")],
        "bob": [FAILS, opinion("b"), opinion("c")],
    },
    verdict="yes",
    stands=["bob 2", "bob 3", "cid 2"],
    held="bob 2",
    fails={"chair": [_parts(one="ann"), FAILS], "cid": [_sure(one=1)], "ann": [opinion("a")]},
    reason="chair had to make the answer, and has failed",
    cap=Cap(
        {"max_replans": 0},
        {"chair": [_parts(one="ann", two="bob")], "cid": [_sure(one=0.9, two=0.6)]},
        "plan 1 was the last: plan 'two' again: a validator is sure at 0.6 that bob can do it",
        "chair",
    ),
)
ROUTER = Shape(
    name="router",
    team={
        "pattern": "router",
        "members": TWO,
        "classifier": "crew.cid",
        "better": "crew.chair",
        "second": "crew.editor",
        "default": "crew.bob",
    },
    least={"cid": [_routed("ann", 0.9)], "ann": [YES]},
    most={
        "cid": [_routed("ann", 0.8)],
        "chair": [_routed("ann", 0.6)],
        "editor": [_routed("bob", 0.9)],
        "bob": [YES],
    },
    verdict="yes",
    stands=["cid 1", "editor 1", "bob 1"],
    held="editor 1",
    fails={"cid": [_routed("ann", 0.9)], "ann": [FAILS]},
    reason="ann, whom it was for, has failed",
)
SECOND_OPINION = Shape(
    name="second_opinion",
    team={
        "pattern": "second_opinion",
        "first": "crew.ann",
        "other": "crew.bob",
        "reconcile": "crew.chair",
    },
    least={"ann": [YES]},
    most={"ann": [opinion("a", 0.6)], "bob": [opinion("b", 0.5)], "chair": [opinion("b")]},
    verdict="b",
    stands=["bob 1"],
    held="bob 1",
    fails={"ann": [opinion("a", 0.6)], "bob": [opinion("b", 0.5)], "chair": [FAILS]},
    reason="had to decide between the answers, has failed",
    cap=Cap(
        {},
        {"ann": [opinion("a", 0.6)], "bob": [FAILS]},
        "ann is sure by 0.6, less than 0.7, and bob has failed",
        "ann",
        "TeamFailed",
    ),
)


def _asks(agent: str) -> Callable[[str], Behaviour]:
    return lambda task: Behaviour.calls(call(agent, what=task))


DELEGATES = Shape(
    name="delegates",
    team={"agent": "crew.boss"},
    least={"boss": [YES]},
    most={
        "boss": [_asks("ann"), _asks("poll"), YES],
        "ann": [opinion("a"), opinion("a")],
        "bob": [opinion("b")],
        "cid": [opinion("c")],
        "chair": [opinion("b")],
    },
    verdict="yes",
    stands=["ann 1", "bob 1"],
    held="cid 1",
    fails={"boss": [_asks("ann"), FAILS], "ann": [opinion("a")]},
    reason="it is down",
    type="ModelRefused",
)
"""One agent that asks another, and then a team."""

SHAPES = (
    VOTE, COMBINED, DEBATE, MIXTURE, SELF_MOA, MAKER_CHECKER, CHAT, ROUND_ROBIN, MAGENTIC, PLANNED,
    ROUTER,
    SECOND_OPINION,
)  # fmt: skip
