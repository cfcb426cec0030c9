"""Joins all bundles of one worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from ..mcp_client.ask_servers import ask_servers
from ..mcp_client.offer import McpOffer, offer_of
from ..saga.calls.timeouts_and_retries import UNDO_RETRY
from ..saga.effect import Effect
from ..saga.errors import DefinitionError, Fault
from ..saga.expressions.template import expressions
from ..saga.history_format import RECOVER_CHILD, RETRACT, STAND_IN
from ..saga.spec.catalog import AgentEntry, Catalog, CompensationEntry, ToolEntry, ValidatorEntry
from ..saga.spec.graph import every_step
from ..saga.spec.rules.approval_rules import approval_faults
from ..saga.spec.rules.guard_rules import guard_faults
from ..saga.spec.rules.other_kind import unknown
from ..saga.spec.rules.team_rules import team_faults
from ..saga.spec.task_spec import Step, TaskSpec
from ..saga.temporal.sdk_internals import activity_type, workflow_type
from .bundle import Bundle
from .events.rule_declaration import RuleDeclaration
from .foreign.a2a_agent import A2AAgent
from .foreign.process_agent import ProcessAgent
from .function import Function
from .undo_types import undo_faults

MAX_TOOLS = 15
"""Tools one agent may have before it must ask for more: models choose markedly worse past this."""


BUILT_IN_COMPENSATIONS = (
    CompensationEntry(name=RETRACT, description="Withdraws an agent's output."),
    CompensationEntry(
        name=RECOVER_CHILD,
        description="Undoes a child workflow from its history.",
        timeout=timedelta(hours=1),
        retry=UNDO_RETRY,
    ),
)


class Registry:
    """What the bundles of a worker offer together.

    Attributes:
        functions: The Python functions behind tools, agents, compensations and validators, by full name.
        workflows: Workflow classes of the bundles.
        activities: Plain Temporal activities of the bundles.
        processes: The declarations of agents that are processes, by full name.
        remotes: The declarations of agents elsewhere, by full name.
        start_rules: Which events start which tasks, by the rules' full names.
        mcp: What the MCP servers of the bundles offer; they were asked for it when this was made.
    """

    def __init__(self, bundles: Iterable[Bundle], default_models: Sequence[str] = ()) -> None:
        """Joins the bundles and checks them.

        Args:
            bundles: The bundles, each with a name of its own.
            default_models: The fallback chain of agents that do not name a model.

        Raises:
            DefinitionError: Names clash, an MCP server does not start, or something refers to a name that is
                missing; the error names all faults.
        """
        found = list(bundles)
        self.mcp = _offer(found)
        self.functions: dict[str, Function] = {}
        self.workflows: list[type] = []
        self.activities: list[Callable[..., Any]] = []
        self.processes: dict[str, ProcessAgent] = {}
        self.remotes: dict[str, A2AAgent] = {}
        self.start_rules: dict[str, RuleDeclaration] = {}
        tools: dict[str, ToolEntry] = {}
        agents: dict[str, AgentEntry] = {}
        compensations = {entry.name: entry for entry in BUILT_IN_COMPENSATIONS}
        validators: dict[str, ValidatorEntry] = {}
        tasks: dict[str, TaskSpec] = {}
        for bundle in found:
            self.functions |= bundle.functions
            self.workflows += [cls for cls in bundle.workflows if cls not in self.workflows]
            self.activities += [fn for fn in bundle.activities if fn not in self.activities]
            self.processes |= bundle.processes
            self.remotes |= bundle.remotes
            tools |= bundle.tools
            agents |= bundle.agents
            compensations |= bundle.compensations
            validators |= bundle.validators
            tasks |= bundle.tasks
            self.start_rules |= {known.rule.name: known for known in bundle.start_rules}
        tools |= self.mcp.tools
        compensations |= self.mcp.compensations
        self._catalog = Catalog(
            tools=tools,
            agents=agents,
            compensations=compensations,
            validators=validators,
            tasks=tasks,
            workflows=tuple(workflow_type(cls) or "" for cls in self.workflows),
            default_models=tuple(default_models),
            not_offered=self.mcp.not_offered,
        )
        faults = [*_clashes(found), *self._faults(), *undo_faults(self._catalog, self.functions)]
        for name, task in tasks.items():
            faults += [f"task {name}: {fault}" for fault in self.refused(task.steps)]
        if faults:
            raise DefinitionError("\n".join(faults))

    @property
    def catalog(self) -> Catalog:
        """Everything that the bundles offer, as data."""
        return self._catalog

    @property
    def asks_models(self) -> bool:
        """Whether a task of these bundles may ask a real model, for an agent or a judge."""
        catalog = self.catalog
        agents = catalog.agents.values()
        if any(agent.asks_models and catalog.models_of(agent) != (STAND_IN,) for agent in agents):
            return True
        if any(set(agent.team.models) - {STAND_IN} for agent in agents if agent.team is not None):
            return True
        specs = list(catalog.tasks.values())
        steps = [step for spec in specs for step in every_step(spec.steps)]
        lists = [*(spec.validate_ for spec in specs), *(step.validate_ for step in steps)]
        lists += [*(step.guard for step in steps), *(tool.guard for tool in catalog.tools.values())]
        lists += [agent.guard for agent in agents]
        asks = any(check.judge is not None for checks in lists for check in checks)
        return asks or any(step.other_models for step in steps)

    def know_workflows(self, classes: Iterable[type]) -> None:
        """Adds the workflows that a worker has besides those of the bundles; a step may start them, too."""
        names = dict.fromkeys((*self._catalog.workflows, *(workflow_type(cls) or "" for cls in classes)))
        self._catalog = self._catalog.model_copy(update={"workflows": tuple(names)})

    def refused(self, steps: Sequence[Step], path: str = "steps") -> Iterator[Fault]:
        """Yields the arguments, written down in steps, that the settings of this process refuse.

        Args:
            steps: The steps.
            path: Where they are in their spec.
        """
        for index, step in enumerate(steps):
            here = f"{path}[{index}]"
            if step.group is not None:
                yield from self.refused(step.group.steps, f"{here}.group.steps")
            # A step with a queue of its own is called by workers with settings of their own.
            function = self.functions.get(step.tool or "") if step.task_queue is None else None
            if function is None or function.refuses is None or not isinstance(step.input, Mapping):
                continue
            for name, value in step.input.items():
                is_written = isinstance(value, str) and not any(expressions(value))
                if is_written and (reason := function.refuses(name, value)):
                    yield Fault(f"{here}.input.{name}", reason)

    def _faults(self) -> Iterator[str]:
        catalog = self._catalog
        for tool in catalog.tools.values():
            what = f"tool {tool.name}"
            if tool.compensate is not None and tool.compensate not in catalog.compensations:
                yield f"{what}: {self._unknown('compensation', tool.compensate, catalog.compensations)}"
            if tool.before is not None:
                yield from self._before_faults(what, tool, tool.before)
            if tool.approval is not None:
                for fault in approval_faults(tool.approval, tool, catalog, "approval", None):
                    yield f"{what}: {fault}"
            for fault in guard_faults(tool, catalog):
                yield f"{what}: {fault}"
        for agent in catalog.agents.values():
            what = f"{'agent' if agent.team is None else 'team'} {agent.name}"
            if agent.compensate not in catalog.compensations:
                yield f"{what}: {self._unknown('compensation', agent.compensate, catalog.compensations)}"
            if agent.offered > MAX_TOOLS and not agent.many_tools:
                many = f"{agent.offered} tools are more than {MAX_TOOLS}"
                yield f"{what}: {many}; split it, or say many_tools=True"
            for name in agent.tools:
                if name not in catalog.tools and name not in catalog.agents:
                    yield f"{what}: {self._unknown('tool', name, _meant(name, catalog))}"
            declared = self.processes.get(agent.name) or self.remotes.get(agent.name)
            if declared is not None:
                yield from (f"{what}: {fault}" for fault in declared.missing())
            for fault in (*team_faults(agent, catalog), *guard_faults(agent, catalog)):
                yield f"{what}: {fault}"
            yield from self._pivot_faults(what, agent)
        for name, known in self.start_rules.items():
            if known.rule.task not in (*catalog.tasks, *catalog.workflows):
                yield f"start rule {name}: {self._unknown('task', known.rule.task, catalog.tasks)}"

    def _pivot_faults(self, what: str, agent: AgentEntry) -> Iterator[str]:
        """Yields what forbids an agent to choose the point of no return."""
        pivots = [tool for tool in self._catalog.tools_of(agent) if tool.effect is Effect.PIVOT]
        for tool in pivots:
            if tool.approval is None:
                yield f"{what}: {tool.name} is a pivot; an agent may choose it only with a person's approval="
        if len(pivots) > 1:
            yield f"{what}: {pivots[0].name} and {pivots[1].name} are pivots; a task has one"

    def _before_faults(self, what: str, tool: ToolEntry, name: str) -> Iterator[str]:
        if tool.compensate is None and tool.approval is None:
            yield f"{what}: before is for an undo or an approval, and it has neither"
        before = self._catalog.tools.get(name)
        if before is None:
            yield f"{what}: before: {self._unknown('tool', name, self._catalog.tools)}"
            return
        if before.effect is not Effect.READ_ONLY:
            yield f"{what}: before={before.name} must be read_only, and it is {before.effect}"
        if before.approval is not None:
            yield f"{what}: before={before.name} is called unasked; it cannot have an approval"
        if set(before.parameters) != set(tool.parameters):
            yield f"{what}: before={before.name} must take the same parameters ({', '.join(tool.parameters)})"

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> str:
        return unknown(kind, name, known, self._catalog)


def _meant(name: str, catalog: Catalog) -> Iterable[str]:
    """Returns what an agent may have meant by a name among its tools: an agent that is close, or a tool."""
    return get_close_matches(name, catalog.agents, n=1, cutoff=0.8) or catalog.tools


def _offer(bundles: Sequence[Bundle]) -> McpOffer:
    """Asks the MCP servers; without one of them most other faults would be for want of its tools."""
    servers = [server for bundle in bundles for server in bundle.mcp_servers]
    names = [*(bundle.name for bundle in dict.fromkeys(bundles)), *(server.name for server in servers)]
    twice = [server.name for server in servers if names.count(server.name) > 1]
    faults = [
        f"MCP server {name}: a bundle or another server has the same name" for name in dict.fromkeys(twice)
    ]
    offer = McpOffer(faults=faults) if faults else offer_of(servers, ask_servers(servers))
    if offer.faults:
        raise DefinitionError("\n".join(offer.faults))
    return offer


def _clashes(bundles: Iterable[Bundle]) -> Iterator[str]:
    """Yields the names that are used twice."""
    seen: dict[str, Bundle] = {}
    for bundle in bundles:
        if seen.setdefault(bundle.name, bundle) is not bundle:
            yield f"two bundles are named {bundle.name!r}; a name must be unique on a worker"
    rules = [known.rule.name for bundle in seen.values() for known in bundle.start_rules]
    for name in dict.fromkeys(name for name in rules if rules.count(name) > 1):
        yield f"two start rules are named {name!r}; say name= in one of them"
    for attribute, type_of in (("workflows", workflow_type), ("activities", activity_type)):
        things = dict.fromkeys(thing for bundle in seen.values() for thing in getattr(bundle, attribute))
        names = [type_of(thing) for thing in things]
        for name in dict.fromkeys(name for name in names if name is not None and names.count(name) > 1):
            yield f"two {attribute} are named {name!r}; a name must be unique on a worker"
