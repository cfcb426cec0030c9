"""What plays the models without a model: each role by rules, on what its tools have really returned.

It is a model server of its own, so that everything between an agent and a model is real. Any command runs
with it::

    python -m examples.incident_response.script counterstep run ...
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer

from ..conversation import Conversation

MODEL = "openai/scripted"
"""The litellm name under which the script is asked."""

_NODE = re.compile(r"checkout-\d")


@contextmanager
def played() -> Iterator[dict[str, str]]:
    """Plays the models for as long as the block runs.

    Yields:
        The environment variables with which workers ask the script.
    """
    with ModelServer.in_thread() as server:
        server.default = answer
        yield {**server.environment, "COUNTERSTEP_MODEL": MODEL}


def answer(request: Mapping[str, Any]) -> Behaviour:
    """Answers one request: as the commander, or as whoever of the team its instructions say."""
    heard = Conversation(request)
    for words, member in (
        ("You diagnose", _diagnostics),
        ("You adjust", _infrastructure),
        ("You take back", _rollback),
    ):
        if heard.system.startswith(words):
            return heard.failed() or member(heard)
    return Behaviour.json(_commander(heard))


# --- the commander


def _commander(heard: Conversation) -> dict[str, Any]:
    team, please = heard.team, heard.team["please"]
    if "plan" in please and "Write down" in please:
        return _first_plan(heard.input["alarm"])
    if "another plan" in please:
        return _second_plan(team)
    if please.startswith("Say whether"):
        return _progress(team, heard.input["alarm"])
    changed = [line for turn in team["said"] for line in turn["output"]["changed"]]
    cause = "a setting of the new release" if changed else "nothing: the alarm was false"
    return {
        "healthy": True,
        "cause": f"{cause}: {'; '.join(changed)}" if changed else cause,
        "changed": changed,
    }


def _first_plan(alarm: str) -> dict[str, Any]:
    return {
        "facts": f"The alarm says: {alarm} Every node may be affected; nothing has been looked at yet.",
        "plan": "Hypothesis 1: one node is ill and the other is overloaded. diagnostics looks first; then "
        "infrastructure drains the second node and doubles the workers of the first.",
    }


def _second_plan(team: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "facts": f"Refuted: {team['plan'].partition('.')[0]}. Other capacity did not help.",
        "plan": "Hypothesis 2: the new release has a setting that is wrong. rollback puts back the one that "
        "explains the symptoms, and restarts.",
    }


def _progress(team: Mapping[str, Any], alarm: str) -> dict[str, Any]:
    said: Sequence[Mapping[str, Any]] = team["said"]
    is_first = team["plan"].startswith("Hypothesis 1")
    tester = "infrastructure" if is_first else "rollback"
    if any(turn["output"]["healthy"] for turn in said[-1:]):
        return _word(done=True, reason=said[-1]["output"]["found"])
    if team.get("absent"):
        return _word(
            next=tester, progress=False, reason=f"a member has failed: {team['absent'][-1]['reason']}"
        )
    if is_first and not said and not _NODE.search(alarm):  # an alarm that names a node says enough
        return _word(next="diagnostics", instruction="Find out which nodes fail, and how.")
    if not said or said[-1]["member"] == "diagnostics":
        order = (
            "Drain checkout-2, and give checkout-1 8 workers."
            if is_first
            else "Put back the setting that explains the refusals or timeouts, and restart the service."
        )
        return _word(
            next=tester, instruction=order, reason=said[-1]["output"]["found"] if said else "a new plan"
        )
    found = said[-1]["output"]["found"]
    return _word(next=tester, progress=False, reason=f"the hypothesis is refuted: {found}")


def _word(
    *,
    done: bool = False,
    progress: bool = True,
    next: str | None = None,
    instruction: str = "Test the hypothesis.",
    reason: str = "the team begins",
) -> dict[str, Any]:
    return {
        "done": done,
        "progress": progress,
        "in_loop": False,
        "next": None if done else next,
        "instruction": "" if done else instruction,
        "reason": reason,
    }


# --- the members


def _diagnostics(heard: Conversation) -> Behaviour:
    if "probe_service" not in heard.results:
        return Behaviour.calls(call("probe_service"))
    nodes = [node["node"] for node in heard.results["probe_service"]["nodes"]]
    if "read_metrics" not in heard.results:
        return Behaviour.calls(*(call("read_metrics", node=node) for node in nodes))
    return _finding(heard, [])


def _infrastructure(heard: Conversation) -> Behaviour:
    order = heard.team["instruction"]
    drained, scaled = _NODE.findall(order)
    if "drain_node" not in heard.results:
        return Behaviour.calls(call("drain_node", node=drained))
    if "scale_workers" not in heard.results:
        return Behaviour.calls(call("scale_workers", node=scaled, workers=int(order.split()[-2])))
    if "probe_service" not in heard.results:
        return Behaviour.calls(call("probe_service"))
    return _finding(heard, ["drain_node", "scale_workers"])


def _rollback(heard: Conversation) -> Behaviour:
    if "compare_releases" not in heard.results:
        return Behaviour.calls(call("compare_releases"))
    # A pool explains customers that wait for a connection; where it is as it was, the next best is a flag.
    differing = [found for found in heard.results["compare_releases"] if found["setting"] != "RELEASE"]
    suspect = next((found for found in differing if "POOL" in found["setting"]), differing[0])
    setting, value = suspect["setting"], suspect["last_release"]
    if "change_config" not in heard.results:
        return Behaviour.calls(call("change_config", setting=setting, value=value))
    if "restart_service" not in heard.results:
        reason = f"{setting} is {suspect['now']} since the new release; it goes back to {value}."
        return Behaviour.calls(call("restart_service", reason=reason))
    if "probe_service" not in heard.results:
        return Behaviour.calls(call("probe_service"))
    return _finding(heard, ["change_config", "restart_service"])


def _finding(heard: Conversation, changes: Sequence[str]) -> Behaviour:
    """Reports the last probe, and the changes in the words of the tools."""
    probe = heard.results["probe_service"]
    told = [
        f"{node['node']} refuses {node['health']['refused']} and lets {node['health']['timed_out']} time "
        f"out of {node['workers']}"
        for node in probe["nodes"]
        if node["health"] and not node["draining"]
    ]
    return Behaviour.json(
        {
            "healthy": probe["healthy"],
            "found": "every node in use serves all customers" if probe["healthy"] else "; ".join(told),
            "changed": [heard.results[name]["changed"] for name in changes],
        }
    )


def main() -> int:
    """Runs a command whose models the script plays."""
    with played() as environment:
        return subprocess.run(sys.argv[1:], env={**os.environ, **environment}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
