"""The search attributes by which tasks are found."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

SAGA_TASK = SearchAttributeKey.for_keyword("SagaTask")
SAGA_STATE = SearchAttributeKey.for_keyword("SagaState")
SAGA_STEP = SearchAttributeKey.for_keyword("SagaStep")
SAGA_COST = SearchAttributeKey.for_float("SagaCostUsd")
