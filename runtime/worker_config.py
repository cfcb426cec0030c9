"""What a worker's configuration has to be, so that tasks stay recoverable."""

from __future__ import annotations

import dataclasses

from temporalio import workflow
from temporalio.client import HeaderCodecBehavior
from temporalio.common import VersioningBehavior
from temporalio.worker import WorkerConfig, WorkerDeploymentConfig

from ..saga.errors import DefinitionError


def pinned(deployment: WorkerDeploymentConfig | None) -> WorkerDeploymentConfig | None:
    """Lets a task end on the version that it began with, where the worker is versioned and says nothing else.

    It is not part of the workflows themselves: the server refuses a versioning behaviour from other workers.
    """
    if deployment is None or not deployment.use_worker_versioning:
        return deployment
    if deployment.default_versioning_behavior is not VersioningBehavior.UNSPECIFIED:
        return deployment
    return dataclasses.replace(deployment, default_versioning_behavior=VersioningBehavior.PINNED)


def expect_recoverable(config: WorkerConfig) -> None:
    """Refuses a configuration that would fail tasks for good and leave effects that nobody can find."""
    for type_ in config.get("workflow_failure_exception_types", ()):
        if issubclass(workflow.NondeterminismError, type_):
            raise DefinitionError(
                f"workflow_failure_exception_types must not have {type_.__name__}: a task under way "
                "would fail for good, and undo nothing, when a worker with other code gets hold of it"
            )
    client = config["client"].config(active_config=True)
    hides_headers = client["header_codec_behavior"] is not HeaderCodecBehavior.NO_CODEC
    if hides_headers and client["data_converter"].payload_codec is not None:
        raise DefinitionError(
            "header_codec_behavior must be NO_CODEC: the headers of calls are what a task that was ended by "
            "force is recovered from, by people who have no key; they have names and ids only"
        )
