"""What is wrong with the declaration of an MCP server is told at once, and before anything runs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from counterstep import Bundle, DefinitionError, McpServer
from counterstep.bundle.registry import Registry
from counterstep.mcp_client.listing import ForeignTool, Listing
from counterstep.mcp_client.mcp_server import McpServer as Declared
from counterstep.mcp_client.offer import McpOffer, offer_of
from counterstep.saga.effect import Effect
from counterstep.saga.spec.catalog import Catalog, other_kind
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.task_spec import TaskSpec

TEXT = {"type": "string"}


def tool(name: str, *arguments: str, read_only: bool | None = None) -> ForeignTool:
    properties = {argument: TEXT for argument in arguments}
    schema = {"type": "object", "properties": properties, "required": list(arguments)}
    return ForeignTool(name=name, input_schema=schema, read_only=read_only)


FILES = Listing(
    tools={
        found.name: found
        for found in (
            tool("read", "path", read_only=True),
            tool("write", "path", "content"),
            tool("delete", "path"),
            tool("publish", "path", read_only=False),
        )
    },
    resources=("file:///notes",),
)
DELETE: dict[str, Any] = {"tool": "delete", "input": {"path": "${{ arguments.path }}"}}


def offered(**tools: dict[str, Any]) -> McpOffer:
    server = McpServer("files", command=["files"], tools=tools)
    return offer_of([server], {"files": FILES})


def fault(**tools: dict[str, Any]) -> str:
    (only,) = offered(**tools).faults
    return only


def refusal(**options: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        McpServer(options.pop("name", "files"), **options)
    return str(caught.value)


def test_what_only_reads_is_offered_and_the_rest_needs_an_undo_or_an_approval() -> None:
    offer = offered(
        write={"undo": DELETE, "before": {"tool": "read"}},
        publish={"effect": "pivot", "approval": {"ask": "Publish ${{ arguments.path }}?"}},
    )
    assert offer.faults == []
    assert {name: (entry.effect, entry.compensate, entry.before) for name, entry in offer.tools.items()} == {
        "files.read": (Effect.READ_ONLY, None, None),
        "files.write": (Effect.COMPENSATABLE, "files.write_undo", "files.write_before"),
        "files.write_before": (Effect.READ_ONLY, None, None),
        "files.publish": (Effect.PIVOT, None, None),
        "files.read_resource": (Effect.READ_ONLY, None, None),
    }
    assert list(offer.compensations) == ["files.write_undo"]
    assert offer.tools["files.read_resource"].description == "Reads a resource by its address: file:///notes."
    assert list(offer.not_offered) == ["files.delete"]


def test_an_effect_without_an_approval_is_not_offered() -> None:
    assert offered(publish={"effect": "pivot"}).not_offered["files.publish"] == (
        "nothing undoes it, and with the effect pivot it needs an approval"
    )


def test_the_argument_for_the_key_is_not_the_callers() -> None:
    entry = offered(write={"undo": DELETE, "key": "content"}).tools["files.write"]
    assert entry.parameters == ("path",)
    assert entry.input_schema["required"] == ["path"]


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ({"wirte": {"undo": DELETE}}, "there is no tool 'wirte'; did you mean 'write'?"),
        (
            {"write": {"undo": {"tool": "delet"}}},
            "tool write: undo: there is no tool 'delet'; did you mean 'delete'?",
        ),
        (
            {"write": {"undo": {"tool": "delete", "input": {"pth": "x", "path": "x"}}}},
            "tool write: undo.input: delete has no argument 'pth'; did you mean 'path'?",
        ),
        ({"write": {"undo": {"tool": "delete"}}}, "tool write: undo.input: delete needs 'path'"),
        (
            {"write": {"undo": {"tool": "read", "input": {"path": "x"}}}},
            "tool write: undo: read only reads, so it undoes nothing",
        ),
        (
            {"write": {"undo": DELETE, "before": {"tool": "publish"}}},
            "tool write: before: publish does not only read, as far as the server and its entry in tools say",
        ),
        (
            {"read": {"undo": DELETE}},
            "tool read: it is annotated as read-only, and its entry says that it is compensatable; one "
            "is wrong",
        ),
        (
            {"publish": {"effect": "read_only"}},
            "tool publish: its entry says that it is read_only, and the server annotates that it is not; one "
            "is wrong",
        ),
        (
            {"write": {"undo": DELETE, "key": "contents"}},
            "tool write: key: it has no argument 'contents'; did you mean 'content'?",
        ),
    ],
)
def test_what_the_server_contradicts(tools: dict[str, Any], told: str) -> None:
    assert fault(**tools) == f"MCP server files: {told}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "Files", "command": ["x"]}, "names look like [a-z][a-z0-9_]*, and not counterstep"),
        ({}, "it has either a command or a url"),
        ({"command": "npx files"}, "command is a list of texts: the program and its arguments"),
        ({"url": "ftp://files"}, "url is an http or https address"),
        (
            {"url": "https://ann:pw@files/mcp"},
            "its url has credentials in it; give them by headers or oauth, as env:VARIABLE",
        ),
        ({"command": ["x"], "headers": {"A": "b"}}, "headers and oauth are for a url"),
        (
            {"url": "http://files", "oauth": {"client_id": "a"}},
            "oauth has client_id and client_secret, and may have issuer and scope",
        ),
        ({"command": ["x"], "tools": {"write": {"undoes": DELETE}}}, "undoes"),
        (
            {"command": ["x"], "tools": {"write": {"undo": DELETE, "effect": "pivot"}}},
            "it has an undo, so its effect is compensatable, not pivot",
        ),
        (
            {"command": ["x"], "tools": {"write": {"undo": {"tool": "d", "when": "now.x"}}}},
            "now.x cannot be read, because nothing is read before",
        ),
        (
            {"command": ["x"], "tools": {"write": {"undo": {"tool": "d", "when": "task.x"}}}},
            "task.x cannot be read here",
        ),
        ({"command": ["x"], "start_timeout": "soon"}, "start_timeout"),
    ],
)
def test_what_is_wrong_whatever_the_server_says(options: dict[str, Any], told: str) -> None:
    assert told in refusal(**options)


def test_all_faults_are_told_at_once() -> None:
    told = refusal(name="Files", tools={"write": {"effect": "compensatable"}, "read": {"effect": "reads"}})
    assert len(told.splitlines()) == 4


def test_check_says_why_a_tool_is_not_offered() -> None:
    offer = offered()
    catalog = Catalog(tools=offer.tools, not_offered=offer.not_offered)
    spec = TaskSpec.model_validate(
        {"name": "t", "steps": [{"id": "a", "tool": "files.write", "input": {"path": "a", "content": "b"}}]}
    )
    (found,) = check_spec(spec, catalog)
    assert "'files.write' is not offered: the server does not annotate it as read-only" in str(found)
    assert "not_offered" not in catalog.model_dump(), "no snapshot has it"
    assert other_kind("files.read", catalog, but="tool") == ""


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (["/no/such/program"], "it does not start: /no/such/program: it cannot be started: No such file"),
        ([sys.executable, "-c", "raise SystemExit('no licence')"], "it has ended with 1: no licence"),
    ],
)
def test_a_server_that_does_not_start_is_told_in_one_sentence(program: list[str], told: str) -> None:
    bundle = Bundle("desk")
    bundle.add(Declared("files", command=program))
    with pytest.raises(DefinitionError) as caught:
        Registry([bundle])
    assert told in str(caught.value) and "MCP server files: it does not start" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_variable_and_a_taken_name_are_told_before_the_server_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FILES_TOKEN", raising=False)
    bundle = Bundle("desk")
    bundle.add(
        McpServer("files", url="http://127.0.0.1:1/mcp", headers={"Authorization": "Bearer env:FILES_TOKEN"})
    )
    with pytest.raises(DefinitionError, match="the worker's environment has no FILES_TOKEN"):
        Registry([bundle])
    bundle.add(McpServer("desk", command=["/no/such/program"]))
    with pytest.raises(DefinitionError, match="a bundle or another server has the same name"):
        Registry([bundle])
