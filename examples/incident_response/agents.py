"""The team of an incident: a commander who plans, and three who look, adjust and roll back."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from counterstep import Agent
from counterstep.teams import Magentic

from .tools import (
    change_config,
    compare_releases,
    drain_node,
    incident,
    probe_service,
    read_metrics,
    restart_service,
    scale_workers,
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Alarm(_Model):
    """What is known when the alarm goes off."""

    alarm: str
    environment: str


class Finding(_Model):
    """What a member has found and done; ``changed`` has the words of the tools."""

    healthy: bool
    found: str
    changed: list[str]


class Report(_Model):
    """How an incident has ended; ``changed`` lists every change that stands, in the words of the tools."""

    healthy: bool
    cause: str
    changed: list[str]


_HONESTLY = (
    "Report what the tools returned, not what you expected: `healthy` is what the last probe_service said, "
    "and `changed` has, word for word, what each change returned. Change nothing that you were not told to "
    "change."
)

commander: Agent[Report] = incident.add(
    Agent(
        name="commander",
        description="Leads the response to an incident, and reports on it.",
        instructions="You are the incident commander. You touch nothing yourself.\n\n"
        "In a plan, write down what is known; then one hypothesis on the cause, the one that explains the "
        "symptoms best and costs least to test; and who tests it. Have diagnostics look before anybody "
        "changes anything. Give each member one instruction at a time, with the names of nodes and "
        "settings.\n\n"
        "A turn has made progress if the service is healthier, or if something new is known. A change after "
        "which the service is no healthier refutes its hypothesis: say that there is no progress, and why. "
        "Then all of it is undone, and you plan anew, from the service as it was; do not try a hypothesis "
        "again that was refuted.\n\n"
        "The job is done only when a probe after the last change says that the service is healthy. In the "
        "report, name the cause, and every change that stands, word for word as the members told it.",
        output=Report,
        input=Alarm,
    )
)

diagnostics: Agent[Finding] = incident.add(
    Agent(
        name="diagnostics",
        description="Finds out what is wrong, and changes nothing.",
        instructions="You diagnose a service whose workers serve customers from a pool of database "
        "connections. Probe it, then read the metrics of each node. Say which nodes fail, and how: a "
        "customer who is refused has waited for a connection in vain, one who times out had a connection and "
        f"has waited for the database. Separate what you saw from what you conclude.\n\n{_HONESTLY}",
        tools=[probe_service, read_metrics],
        input=Alarm,
        output=Finding,
    )
)

infrastructure: Agent[Finding] = incident.add(
    Agent(
        name="infrastructure",
        description="Adjusts the nodes: drains one, or changes how many workers it has.",
        instructions="You adjust the nodes of a service while they run. Do exactly what the instruction "
        f"says, and keep at least one node in use. Probe the service after your last change.\n\n{_HONESTLY}",
        tools=[probe_service, drain_node, scale_workers],
        input=Alarm,
        output=Finding,
    )
)

rollback: Agent[Finding] = incident.add(
    Agent(
        name="rollback",
        description="Takes settings of the new release back to those of the last one, and restarts.",
        instructions="You take back what a release has changed. Compare the releases, and put back only the "
        "settings that explain the symptoms; leave the others, they are wanted. Nodes read the file when "
        "they are restarted, so restart the service once, after the last change. Where that needs a "
        "person's yes, give a reason by which a person can judge it, and take a no for an answer. Then probe "
        f"the service.\n\n{_HONESTLY}",
        tools=[compare_releases, change_config, restart_service, probe_service],
        input=Alarm,
        output=Finding,
    )
)

responders: Magentic = incident.add(
    Magentic(
        name="responders",
        description="Heals a service, or leaves it as it was.",
        manager=commander,
        members=[diagnostics, infrastructure, rollback],
        max_turns=8,
        max_stalls=1,  # a change that does not help is undone before the next one is tried
        max_resets=1,
        on_reset="undo",
        input=Alarm,
        output=Report,
    )
)
