"""What other plugins do to a client and a worker that have Counterstep's too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from temporalio.client import ClientConfig, Plugin
from temporalio.converter import DataConverter, DefaultPayloadConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkerConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from ..saga.duration import Duration, parse_duration
from ..saga.errors import DefinitionError

ORDER: Final = "list that one first: plugins=[the other one, CounterstepPlugin(...)]"


AnyPlugin = TypeVar("AnyPlugin")


class _Probe(BaseModel):
    """Something of the shape of what tasks are sent as."""

    names: tuple[str, ...]
    wait: Duration
    inner: _Probe | None = None


_SENT = _Probe(names=("a",), wait=parse_duration("1s"), inner=_Probe(names=(), wait=parse_duration("2ms")))


def is_taken_by(config: ClientConfig, plugins: Sequence[Plugin]) -> bool:
    """Returns whether all of the plugins go on from a client's configuration; each gets a copy.

    There are plugins, the one for OpenAI's agents for example, that bring a converter of their own and raise
    when they find any other than Temporal's default.

    Args:
        config: The configuration.
        plugins: The plugins that are going to change it, in their order.
    """
    trial = config.copy()
    try:
        for plugin in plugins:
            trial = plugin.configure_client(trial)
    except Exception:
        return False
    return True


def listed_behind(plugin: object, plugins: Iterable[AnyPlugin]) -> list[AnyPlugin]:
    """Returns the plugins that change a configuration after `plugin`; none if it is not among them."""
    listed = list(plugins)
    return listed[listed.index(plugin) + 1 :] if plugin in listed else []


def expect_sandbox(config: WorkerConfig, plugin: object, modules: Iterable[str]) -> None:
    """Refuses plugins behind this one that replace the sandbox.

    Args:
        config: The configuration of a worker.
        plugin: This one, of the client or of the worker.
        modules: What the sandbox passes through.

    Raises:
        DefinitionError: What replaces it does not pass them through.
    """
    plugins: list[Any] = [*config["client"].config()["plugins"], *config.get("plugins", ())]
    for other in listed_behind(plugin, plugins):
        runner = getattr(other, "workflow_runner", None)
        if not isinstance(runner, SandboxedWorkflowRunner):
            continue
        if not runner.restrictions.passthrough_modules.issuperset(modules):
            name = other.name() if isinstance(other, SimplePlugin) else type(other).__name__
            raise DefinitionError(
                f"the plugin {name} replaces the sandbox, which then lacks what Counterstep passes through "
                f"it; {ORDER}"
            )


def expect_models(converter: DataConverter) -> None:
    """Refuses a converter that does not carry pydantic models.

    Args:
        converter: The converter that a client has after all plugins.

    Raises:
        DefinitionError: What comes out is not what went in.
    """
    if converter.payload_converter_class is DefaultPayloadConverter:
        return  # only the worker has the plugin; Temporal reads models by their types, too
    payloads = converter.payload_converter
    with suppress(Exception):
        if payloads.from_payloads(payloads.to_payloads([_SENT]), [_Probe]) == [_SENT]:
            return
    name = converter.payload_converter_class.__qualname__
    raise DefinitionError(
        f"the client's payload converter {name} does not carry pydantic models, as which tasks are sent: "
        "derive it from temporalio.contrib.pydantic.PydanticPayloadConverter; if another plugin has put it "
        f"there, {ORDER}"
    )
