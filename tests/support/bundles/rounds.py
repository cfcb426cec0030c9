"""A bundle of teams that answer side by side, in rounds; their members are those of `crew`."""

from __future__ import annotations

from counterstep import Bundle
from counterstep.teams import Debate, Mixture, SecondOpinion
from counterstep.tests.support.bundles.crew import Opinion, ann, bob, chair, cid, editor

rounds = Bundle("rounds")

debate = rounds.add(
    Debate(
        name="debate",
        description="Debates a thing.",
        members=[ann, bob, cid],
        by="output.verdict",
        judge=chair,
        output=Opinion,
    )
)
layers = rounds.add(
    Mixture(name="layers", description="Answers in layers.", members=[ann, bob], aggregator=editor)
)
samples = rounds.add(
    Mixture(
        name="samples",
        description="Samples one.",
        members=[ann],
        aggregator=editor,
        samples=3,
        window=2,
        output=Opinion,
    )
)
second = rounds.add(
    SecondOpinion(name="second", description="Asks again.", first=ann, other=bob, reconcile=chair)
)
