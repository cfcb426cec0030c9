"""What models may cost: as the task's snapshot says, or looked up for those that it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from temporalio.exceptions import FailureError

from ...calls.caller import Caller
from ...errors import FailureType
from ...failure import Failed, Failure, trim
from ...history_format import APPRAISE
from ...ledger.call_id import CallId
from ...limits.cost_bound import ModelFacts


class ModelPrices:
    """Knows of each model of one task what a request may cost.

    Attributes:
        known: What is known of models, by name.
    """

    def __init__(self, known: Mapping[str, ModelFacts], caller: Caller) -> None:
        """Begins with what the snapshot knows.

        Args:
            known: That.
            caller: Asks the worker for the rest.
        """
        self.known: dict[str, ModelFacts] = {**known}
        self._caller = caller

    async def look_up(self, models: Sequence[str], step: str, at: CallId) -> None:
        """Finds out about models that only code names, as the judges of a ``Saga.call``; once about each.

        Args:
            models: The models of a request.
            step: Its step.
            at: Its call.

        Raises:
            Failed: No worker can say it; a budget could be passed by what is asked all the same.
        """
        unknown = [model for model in models if model not in self.known]
        if not unknown:
            return
        named = ", ".join(unknown)
        try:
            found = await self._caller.local(
                APPRAISE,
                unknown,
                activity_id=str(at.within("prices")),
                timeout=timedelta(seconds=10),
                summary=f"look up what {named} may cost"[:200],
            )
        except FailureError as error:
            message = trim(f"nobody can say what {named} may cost: {error.cause or error}")
            failure = Failure(step=step, type=FailureType.MODEL_UNAVAILABLE, message=message)
            raise Failed(failure, not_applied=True) from error
        self.known |= {name: ModelFacts.model_validate(facts) for name, facts in found.items()}
