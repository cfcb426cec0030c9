"""Every pattern of a team, told apart by the key ``pattern``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .concurrent import Concurrent
from .debate import Debate
from .group_chat import GroupChat
from .magentic import Magentic
from .maker_checker import MakerChecker
from .mixture import Mixture
from .planned import Planned
from .router import Router
from .second_opinion import SecondOpinion

Team = Annotated[
    Concurrent | Debate | Mixture | MakerChecker | GroupChat | Magentic | Planned | Router | SecondOpinion,
    Field(discriminator="pattern"),
]
