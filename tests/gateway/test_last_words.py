"""What a process has said last: of tracebacks the errors."""

import subprocess
import sys

import pytest

from counterstep.activities.gateway.last_words import last_words

GROUP = """
import asyncio

async def work():
    raise ValueError("the key is missing")

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(work())

asyncio.run(main())
"""

CHAINED = """
def work():
    {}["nothing"]

try:
    work()
except KeyError as error:
    raise SystemError("it cannot go on") from error
"""

NODE = """/srv/agent.js:3
    throw new Error("the key is missing");
    ^

Error: the key is missing
    at main (/srv/agent.js:3:11)
    at node:internal/main/run_main_module:23:47

Node.js v22.1.0
"""


def said_by(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr


def test_of_a_group_of_exceptions_the_errors_are_told() -> None:
    told = last_words(said_by(GROUP), is_cut=False).splitlines()
    assert told == [
        "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
        "ValueError: the key is missing",
    ]


def test_of_errors_with_a_cause_each_is_told() -> None:
    told = last_words(said_by(CHAINED), is_cut=False).splitlines()
    assert told == ["KeyError: 'nothing'", "SystemError: it cannot go on"]


def test_of_a_node_program_the_error_is_told() -> None:
    told = last_words(NODE, is_cut=False)
    assert "Error: the key is missing" in told.splitlines()
    assert "    at " not in told


def test_the_rest_of_a_line_is_not_told_where_the_beginning_is_cut_off() -> None:
    cut = 'write_stream\n  |   File "/srv/agent.py", line 3, in main\n  | ValueError: no\n  +---------\n'
    assert last_words(cut, is_cut=True) == "ValueError: no"


@pytest.mark.parametrize("said", ["no luck", "first\n  second, indented\n- third", ""])
def test_other_words_stay_as_they_are(said: str) -> None:
    assert last_words(said, is_cut=False) == said
