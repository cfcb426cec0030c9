"""Independent checks: whatever the team says, the service itself and the rows have the last word."""

from __future__ import annotations

from counterstep import Subject, Verdict

from .agents import Report
from .checkout_site import site
from .records import DONE
from .tools import incident, probe

_PROBES = 3
_CHANGES = (
    "SELECT what FROM incident_operations "
    f"WHERE task = :task AND state = '{DONE}' AND what NOT LIKE 'ticket%'"
)


@incident.validator
def service_is_healthy(subject: Subject) -> Verdict:
    """Sends customers to the service several times; what the report says of its health is not read."""
    where = site(subject.task_id)
    for _ in range(_PROBES):
        found = probe(where)
        if not found.healthy:
            nodes = [node for node in found.nodes if not node.draining]
            failing = [
                f"{node.node}: {node.health}" for node in nodes if not (node.health and node.health.healthy)
            ]
            return Verdict.reject(f"the service is not healthy: {'; '.join(failing) or 'no node is in use'}")
    return Verdict.accept(f"every node in use has served {_PROBES} bursts of customers")


@incident.validator
def report_is_true(subject: Subject) -> Verdict:
    """Compares the changes that a report names with the rows of those that stand."""
    told = sorted(Report.model_validate(subject.output).changed)
    stand = sorted(row[0] for row in site(subject.task_id).records.ask(_CHANGES, task=subject.task_id))
    if told == stand:
        return Verdict.accept("the rows have it: " + ("; ".join(stand) or "nothing was changed"))
    return Verdict.reject(f"it says that {told} was changed, and the rows have {stand}")
