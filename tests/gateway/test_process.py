"""The answer of a process: which of what it has printed is that, and what cannot be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from counterstep.activities.gateway.process import ProcessPlace, answer_of, running
from counterstep.saga.agents.foreign.host_protocol import HostJob

TEXT: dict[str, Any] = {"type": "string"}


def read(printed: str, schema: dict[str, Any], folder: Path) -> Any:
    """Reads what a process has printed."""
    job = HostJob(agent="a", attempt=1, output_schema=schema)
    return answer_of(job, printed, ProcessPlace(folder, folder, folder / "output.json"))


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85"])
def test_only_ends_of_lines_end_the_answer(inside: str, tmp_path: Path) -> None:
    assert read(f"first\none{inside}two\r\n", TEXT, tmp_path) == f"one{inside}two"


def test_an_answer_in_json_may_have_what_node_does_not_escape(tmp_path: Path) -> None:
    assert read('{"a": "one\u2028two"}\n', {"type": "object"}, tmp_path) == {"a": "one\u2028two"}


def test_an_answer_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert read('\ufeff{"a": 1}\r\n', {"type": "object"}, tmp_path) == {"a": 1}
    (tmp_path / "output.json").write_text('\ufeff{"a": 2}')
    assert read("", {"type": "object"}, tmp_path) == {"a": 2}


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "output.json").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ApplicationError, match="COUNTERSTEP_OUTPUT has more than 8000000 bytes") as raised:
        read("", {"type": "object"}, tmp_path)
    assert raised.value.type == "ProcessFailed"


@pytest.mark.parametrize("printed", ["NaN", "[Infinity]", "[" * 300 + "]" * 300, '["\\ud800"]', "{"])
def test_what_is_not_json_is_told_as_that(printed: str, tmp_path: Path) -> None:
    with pytest.raises(ApplicationError, match="the answer of the process is not JSON") as raised:
        read(printed, {"type": ["array", "number", "object"]}, tmp_path)
    assert raised.value.type == "ProcessFailed"


async def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ApplicationError, match=r"cannot be started: No such file or directory: .*gone"
    ) as raised:
        async with running(["true"], {}, tmp_path / "gone"):
            pass
    assert raised.value.type == "ProcessNotStarted"
