"""Programs that are asked for their tools when bundles are loaded: what is wrong is one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from counterstep import Bundle, DefinitionError, McpServer
from counterstep.bundle.registry import Registry
from counterstep.tests.support.mcp_servers import lists_anything

OLD = (
    "import json, sys; info = {'name': 'old', 'version': '1'}; "
    "old = {'result': {'protocolVersion': '1999-01-01', 'capabilities': {}, 'serverInfo': info}}; "
    "unknown = {'error': {'code': -32601, 'message': 'there is no such method'}}; "
    "[print(json.dumps({'jsonrpc': '2.0', 'id': asked['id'],"
    " **(old if asked['method'] == 'initialize' else unknown)}), flush=True)"
    " for asked in map(json.loads, sys.stdin)]"
)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (["/no/such/program"], "it does not start: /no/such/program: it cannot be started: No such file"),
        ([sys.executable, "-c", "raise SystemExit('no licence')"], "it has ended with 1: no licence"),
        ([sys.executable, "-c", "print('{');print('I am no server')"], "it has ended with 0: I am no server"),
        ([sys.executable, "-c", "import os,time;os.close(1);time.sleep(60)"], "it has closed its output"),
        ([sys.executable, "-c", OLD], "Unsupported protocol version from the server: 1999-01-01"),
    ],
)
def test_a_server_that_does_not_start_is_told_in_one_sentence(
    program: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle("desk")
    bundle.add(McpServer("files", command=program))
    with pytest.raises(DefinitionError) as caught:
        Registry([bundle])
    assert told in str(caught.value) and "MCP server files: it does not start" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr() == ("", ""), "the client library's traceback is not for users"


def test_a_server_that_waits_for_something_is_told_with_what_it_has_said_last() -> None:
    waits = "import sys, time; print('Shall I go on? (y)', file=sys.stderr, flush=True); time.sleep(60)"
    bundle = Bundle("desk")
    bundle.add(McpServer("files", command=[sys.executable, "-c", waits], start_timeout="1s"))
    with pytest.raises(DefinitionError) as caught:
        Registry([bundle])
    assert str(caught.value).endswith(
        "it has not told its tools within 1 s (start_timeout): Shall I go on? (y)"
    )


LISTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a list in the place of a mapping": (
        [{"name": "s", "inputSchema": {"type": "object", "properties": ["a"]}}],
        "its answer is refused: tools.0.inputSchema.properties: Input should be a valid dictionary",
    ),
    "two tools of one name, one of which only reads": (
        [
            {"name": "s", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
            {"name": "s", "inputSchema": {"type": "object"}},
        ],
        "files.s: the server lists two different tools by this name",
    ),
    "read-only and destructive": (
        [
            {
                "name": "s",
                "inputSchema": {"type": "object"},
                "annotations": {"readOnlyHint": True, "destructiveHint": True},
            }
        ],
        "files.s: the server does not annotate it as read-only",
    ),
    "a reference that leads nowhere": (
        [
            {
                "name": "s",
                "inputSchema": {"type": "object", "properties": {"t": {"$ref": "#/$defs/none"}}},
                "annotations": {"readOnlyHint": True},
            }
        ],
        "files.s: its input schema.properties.t.$ref: '#/$defs/none' leads nowhere",
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_server_with_a_list_of_tools_that_lies(case: str, tmp_path: Path) -> None:
    tools, told = LISTS[case]
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    program = Path(lists_anything.__file__)
    bundle = Bundle("desk")
    bundle.add(McpServer("files", command=[sys.executable, str(program), str(tmp_path / "tools.json")]))
    try:
        offered = Registry([bundle]).catalog
    except DefinitionError as error:
        said = str(error)
        assert len(said.splitlines()) == 1
    else:
        assert offered.tools == {}
        said = "".join(f"{name}: {reason}" for name, reason in offered.not_offered.items())
    assert told in said


def test_a_server_that_tells_its_secret_in_a_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILES_TOKEN", "s3cret-t0ken")
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": "s3cret-t0ken"}}}
    reads = {"readOnlyHint": True}
    tools = [{"name": "s", "description": "by s3cret-t0ken", "inputSchema": schema, "annotations": reads}]
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    program = [sys.executable, str(Path(lists_anything.__file__)), str(tmp_path / "tools.json")]
    bundle = Bundle("desk")
    bundle.add(McpServer("files", command=program, env={"TOKEN": "env:FILES_TOKEN"}))
    offered = Registry([bundle]).catalog.tools["files.s"]
    assert offered.description == "by [redacted]"
    assert "s3cret-t0ken" not in offered.model_dump_json()
