"""What is declared of an agent that is a process, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from counterstep import Bundle, DefinitionError, Effect, ProcessAgent, Undo
from counterstep.bundle.registry import Registry
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.rules.costs import costs_of, hints_of


def desk(**said: Any) -> Bundle:
    """Returns a bundle with one process agent that may book."""
    bundle = Bundle("desk")

    @bundle.compensation
    async def cancel(undo: Undo[Any]) -> None:
        """Cancels."""

    @bundle.tool(compensate=cancel)
    async def book(city: str) -> str:
        """Books."""
        return city

    declared = {
        "name": "clerk",
        "description": "Books.",
        "command": [sys.executable],
        "tools": [book],
        **said,
    }
    agent = bundle.add(ProcessAgent(**declared))
    bundle.add_task(agent)
    return bundle


def test_it_is_an_agent_like_any_other_and_its_command_is_in_no_catalog() -> None:
    registry = Registry([desk(models="openai/gpt-5-mini", env={"MODE": "fast"}, loose_match=True)])
    agent = registry.catalog.agents["desk.clerk"]
    assert agent.tools == ("desk.book",)
    assert agent.models == ("openai/gpt-5-mini",)
    assert agent.effect is Effect.READ_ONLY
    assert agent.process is not None and agent.process.loose
    assert agent.asks_models and not agent.is_model
    assert agent.instead == "is a process"
    assert sys.executable not in registry.catalog.model_dump_json()
    assert "fast" not in registry.catalog.model_dump_json()
    assert registry.processes["desk.clerk"].command == [sys.executable]


def test_a_check_says_what_is_outside_of_the_promise_and_what_it_may_cost() -> None:
    catalog = Registry([desk()]).catalog
    spec = catalog.tasks["desk.clerk"]
    assert list(check_spec(spec, catalog)) == []
    assert [str(hint) for hint in hints_of(spec, catalog)] == [
        "desk.clerk is a process; what it does past its tools (files, shell) stays"
    ]
    assert "as often as its budget allows" in costs_of(spec, catalog)[0].formula


def test_variables_of_the_worker_are_named_and_their_values_are_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLERK_KEY", "sesame\n")
    registry = Registry([desk(env={"KEY": "Bearer env:CLERK_KEY"})])
    process = registry.processes["desk.clerk"]
    assert process.variables == {"KEY": "Bearer sesame"}
    assert process.secrets == ["sesame"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"description": " "}, "say in its description what it does"),
        ({"command": []}, "command is a list of texts"),
        ({"command": "python agent.py"}, "command is a list of texts"),
        ({"command": ["python", 3]}, "command is a list of texts"),
        ({"cwd": 3}, "cwd is the path of a folder"),
        ({"env": ["A"]}, "env must be a mapping"),
        ({"env": {"A": 1}}, "the names and values of env are texts"),
        ({"env": {"OPENAI_API_KEY": "x"}}, "env: OPENAI_API_KEY is how the process finds the gateway"),
        ({"env": {"COUNTERSTEP_TOKEN": "x"}}, "env: COUNTERSTEP_TOKEN is how"),
        ({"on_divergence": "ignore"}, "on_divergence is one of keep, undo, fail, not 'ignore'"),
        ({"loose_match": "yes"}, "loose_match is True or False"),
        ({"on_limit": "finish"}, "on_limit is fail or wait"),
        ({"timeout": "p95"}, "timeout is a duration"),
        ({"timeout": "soon"}, "timeout: a duration looks like"),
        ({"effect": "compensatable"}, ""),
        ({"budget": 3}, "budget must be a Budget"),
        ({"models": ["", 3]}, "model must be a litellm name"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_reason(said: dict[str, Any], told: str) -> None:
    if not told:
        assert desk(**said).agents["desk.clerk"].effect is Effect.COMPENSATABLE
        return
    with pytest.raises(DefinitionError) as refused:
        desk(**said)
    assert "agent desk.clerk: " in str(refused.value)
    assert told in str(refused.value)


def test_all_faults_of_a_declaration_are_told_at_once() -> None:
    with pytest.raises(DefinitionError) as refused:
        desk(command="x", cwd=1, on_divergence="?", env=3)
    assert len(str(refused.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"command": ["no-such-program"]}, "command: there is no program 'no-such-program' here"),
        ({"command": ["./agent.sh"]}, "command: there is no program './agent.sh' here"),
        ({"cwd": "/no/such/folder"}, "cwd: there is no folder '/no/such/folder'"),
        ({"env": {"KEY": "env:NOT_SET_ANYWHERE"}}, "env: NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_worker_without_what_it_needs_does_not_start(said: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=r"agent desk\.clerk: ") as refused:
        Registry([desk(**said)])
    assert told in str(refused.value)


def test_a_program_is_found_in_its_folder(tmp_path: Path) -> None:
    program = tmp_path / "agent.sh"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(DefinitionError, match="may be run"):
        Registry([desk(command=["./agent.sh"], cwd=str(tmp_path))])
    program.chmod(0o755)
    assert Registry([desk(command=["./agent.sh"], cwd=str(tmp_path))]).processes
