"""What is wrong with the declaration of an MCP server is told at once, and before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import Bundle, DefinitionError, McpServer
from counterstep.bundle.registry import Registry
from counterstep.mcp_client.listing import ForeignTool, Listing
from counterstep.mcp_client.offer import McpOffer, offer_of
from counterstep.mcp_client.results import hidden, told
from counterstep.mcp_client.safe_schema import safe_schema
from counterstep.saga.effect import Effect
from counterstep.saga.spec.catalog import Catalog
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.rules.other_kind import other_kind
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


def test_what_schemas_leave_open_may_be_read() -> None:
    opened = {"type": "object", "properties": {"id": TEXT}, "patternProperties": {"^x-": TEXT}}
    write = ForeignTool(name="write", input_schema=safe_schema(opened), output_schema=safe_schema(opened))
    undo = {"tool": "delete", "input": {"path": "${{ arguments['x-path'] + output['x-path'] + output.id }}"}}
    server = McpServer("files", command=["files"], tools={"write": {"undo": undo}})
    listing = Listing(tools={"write": write, "delete": FILES.tools["delete"]})
    assert offer_of([server], {"files": listing}).faults == []


@pytest.mark.parametrize(
    "url", ["http://env:HOST/mcp", "http://files:env:PORT/mcp", "https://[::1]:8443/mcp"]
)
def test_variables_may_stand_in_an_address(url: str) -> None:
    assert McpServer("files", url=url).url == url


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
            {"write": {"undo": {"tool": "delete", "input": {"path": "${{ arguments.pth }}"}}}},
            "tool write: undo.input.path: arguments.pth: the input of write has no 'pth'; did you mean "
            "'path'?",
        ),
        (
            {"write": {"undo": {"tool": "delete", "input": {"path": "${{ output.path }}"}}}},
            "tool write: undo.input.path: output.path: the output of write is text, and has no 'path'",
        ),
        (
            {"write": {"undo": {**DELETE, "when": "before.size == 0"}, "before": {"tool": "read"}}},
            "tool write: undo.when: before.size: the output of read is text, and has no 'size'",
        ),
        (
            {
                "write": {
                    "undo": DELETE,
                    "before": {"tool": "read", "input": {"path": "${{ arguments.where }}"}},
                }
            },
            "tool write: before.input.path: arguments.where: the input of write has no 'where'; there are "
            "content, path",
        ),
        (
            {"write": {"undo": {**DELETE, "when": "arguments.content == key"}, "key": "content"}},
            "tool write: undo.when: arguments.content: the input of write has no 'content'; there is only "
            "path",
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
        ({"url": "http://[::z]/mcp"}, "url is an http or https address"),
        ({"url": "http://files:99999/mcp"}, "url is an http or https address"),
        ({"url": "http://files/mcp\n"}, "url is an http or https address"),
        ({"url": "http://files", "headers": {1: "x"}}, "the names and values of headers, env and oauth"),
        ({"command": ["x"], "env": {1: "x"}}, "the names and values of headers, env and oauth are texts"),
        (
            {"url": "https://ann:pw@files/mcp"},
            "its url has credentials in it; give them by headers or oauth, as env:VARIABLE",
        ),
        ({"command": ["x"], "headers": {"A": "b"}}, "headers and oauth are for a url"),
        (
            {"url": "http://files", "oauth": {"client_id": "a"}},
            "oauth has client_id, client_secret and issuer, and may have scope",
        ),
        ({"command": ["x"], "tools": {"write": {"undoes": DELETE}}}, "there is no key 'undoes' here"),
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
        (
            {"command": ["x"], "tools": {"write": {"undo": {"tool": "d", "when": "kye == null"}}}},
            "there is no 'kye' to read; did you mean 'key'?",
        ),
        (
            {"command": ["x"], "tools": {"write": {"undo": {"tool": "d", "when": "xyz == null"}}}},
            "there is no 'xyz' to read; there are arguments, key, output",
        ),
        ({"command": ["x"], "start_timeout": "soon"}, "start_timeout"),
        ({"command": ["x"], "start_timeout": 3}, "start_timeout: a duration looks like 500ms, 30s"),
        ({"command": ["x"], "env": ["A"]}, "env must be a mapping, not a list"),
        ({"command": ["x"], "tools": ["write"]}, "tools must be a mapping, not a list"),
        ({"command": ["x"], "tools": {"write": {"undo": "delete"}}}, "undo: must be a mapping, not text"),
        ({"command": ["x"], "tools": {"write": {"undo": {"input": {}}}}}, "undo: 'tool' is missing"),
        (
            {"command": ["x"], "tools": {"write": {"undo": {"tol": "x", "tool": "y"}}}},
            "tool write: undo: there is no key 'tol' here; did you mean 'tool'?",
        ),
    ],
)
def test_what_is_wrong_whatever_the_server_says(options: dict[str, Any], told: str) -> None:
    assert told in refusal(**options)


def test_no_two_tools_have_one_name_and_what_has_none_is_not_offered() -> None:
    names = ("a.b", "a_b", "a-b", "c/d", "\u5de5\u5177", "", "x" * 200)
    tools = {name: tool(name, read_only=True) for name in names}
    tools["twice"] = tool("twice", read_only=True).model_copy(update={"is_twofold": True})
    server = McpServer("files", command=["files"])
    offer = offer_of([server], {"files": Listing(tools=tools)})
    called = {name: call.tool.name for name, call in offer.calls.items() if call.tool}
    assert called == {"files.a_b": "a_b", "files.c_d": "c/d"}
    alike = "another tool of the server would be named files.a_b as well"
    assert {name: offer.not_offered[name] for name in ("files.a.b", "files.a-b")} == {
        "files.a.b": alike,
        "files.a-b": alike,
    }
    assert offer.not_offered["files.twice"] == "the server lists two different tools by this name"
    assert len(offer.not_offered) == 6


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


def test_a_secret_is_known_as_it_is_used_and_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILES_TOKEN", "s3cret-t0ken\n")
    monkeypatch.setenv("FILES_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END KEY-----\n")
    server = McpServer("files", command=["files"], env={"TOKEN": "env:FILES_TOKEN", "KEY": "env:FILES_KEY"})
    assert server.env["TOKEN"] == "s3cret-t0ken"
    assert told("x" * 595 + server.env["TOKEN"], server.secrets).endswith("x[r..."), "hidden, and then cut"
    said = "the token s3cret-t0ken and MIIEvQIBADANBgkqhkiG of the key"
    assert hidden(said, server.secrets) == "the token [redacted] and [redacted] of the key"


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
