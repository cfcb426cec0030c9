"""Stock tools on files where the system says no, and where settings have changed or old files are deleted."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from counterstep import NotApplied
from counterstep.stock import stock
from counterstep.tests.support.stock.calls import back, forward
from counterstep.tests.support.stock.workshop import fill, snapshot

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "stock-tools.md"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "root"
    fill(root)
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", str(root))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return root


@pytest.mark.parametrize(
    ("call", "tool", "arguments"),
    [
        ("rename", "write_file", {"path": "old.txt", "content": "new"}),
        ("unlink", "delete_file", {"path": "gone.txt"}),
        ("unlink", "move_file", {"path": "here.txt", "to": "empty/there.txt"}),
        ("mkdir", "make_folder", {"path": "folder"}),
        ("rmdir", "delete_folder", {"path": "empty"}),
    ],
)
def test_what_the_system_does_not_allow_is_told_in_one_sentence_and_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, tool: str, arguments: dict[str, Any]
) -> None:
    """As in a folder that the worker may not write to, or on another file system that is mounted there."""
    before, real = snapshot(root), getattr(os, call)

    def refused(path: Any, *rest: Any, **options: Any) -> Any:
        if options.get("dir_fd") is None and options.get("dst_dir_fd") is None:
            return real(path, *rest, **options)
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refused)
        if call == "unlink" and tool == "move_file":
            # What was made already is taken back, by the same call, which then works.
            left = [1]

            def once(path: Any, *rest: Any, **options: Any) -> Any:
                if options.get("dir_fd") is not None and left.pop() if left else False:
                    raise PermissionError(errno.EACCES, "Permission denied", path)
                return real(path, *rest, **options)

            patch.setattr(os, call, once)
        with pytest.raises(NotApplied) as caught:
            forward(stock, tool, "k", **arguments)
    assert str(caught.value) == "nothing was changed: Permission denied"
    assert snapshot(root) == before
    hidden = root / ".counterstep"
    assert [path for name in ("keys", "kept", "new") for path in (hidden / name).iterdir()] == []
    # It may be tried again under its key.
    forward(stock, tool, "k", **arguments)
    assert snapshot(root) != before
    back(stock, tool, "k", arguments)
    assert snapshot(root) == before


@pytest.mark.parametrize("tool", ["read_file", "list_folder"])
def test_a_name_that_no_system_takes_is_told_in_one_sentence(root: Path, tool: str) -> None:
    with pytest.raises(NotApplied) as caught:
        forward(stock, tool, "k", path="x" * 300)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("tool", "path"), [("read_file", "old.txt"), ("list_folder", ".")])
def test_a_folder_that_may_not_be_searched_is_told_in_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch, tool: str, path: str
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(NotApplied) as caught:
        forward(stock, tool, "k", path=path)
    assert str(caught.value).endswith(": Permission denied")


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("path", ["old.txt", "part/new.txt"])
def test_an_undo_finds_what_was_changed_also_where_the_roots_are_others_since(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, is_known: bool
) -> None:
    (root / "part").mkdir()
    (tmp_path / "other").mkdir()
    before = snapshot(root)
    output = forward(stock, "write_file", "k", path=path, content="new")
    assert snapshot(root) != before
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", f"{tmp_path / 'other'}, {root / 'part'}, {root}")
    back(stock, "write_file", "k", {"path": path, "content": "new"}, output if is_known else None)
    assert [line for line in snapshot(root) if ".counterstep" not in line] == before
    with pytest.raises(NotApplied, match="this call has been undone before"):
        forward(stock, "write_file", "k", path=path, content="new")


def test_an_undo_of_what_is_below_no_root_any_more_does_not_say_that_it_is_done(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = forward(stock, "write_file", "k", path="old.txt", content="new")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", str(tmp_path / "other"))
    with pytest.raises(NotApplied, match="is outside of the roots of this worker"):
        back(stock, "write_file", "k", {"path": "old.txt", "content": "new"}, output)


def test_an_undo_of_what_has_happened_and_is_not_kept_does_not_say_that_it_is_done(
    root: Path, tmp_path: Path
) -> None:
    """As where the folder of a share that is not mounted is empty."""
    given = {"path": "old.txt", "content": "new"}
    output = forward(stock, "write_file", "k", **given)
    root.rename(tmp_path / "share")
    root.mkdir()
    for _ in range(2):
        with pytest.raises(ApplicationError, match="the call has happened, and what was there") as caught:
            back(stock, "write_file", "k", given, output)
        assert (caught.value.type, caught.value.non_retryable) == ("ChangedSince", True)
    shutil.rmtree(root)
    for known in (output, None):
        with pytest.raises((NotApplied, ApplicationError)):
            back(stock, "write_file", "k", given, known)
    (tmp_path / "share").rename(root)
    back(stock, "write_file", "k", given, output)
    assert (root / "old.txt").read_text() == "old"


def test_a_root_that_is_away_for_a_while_holds_up_only_what_needs_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", f"{root}, {tmp_path / 'away'}")
    output = forward(stock, "write_file", "k", path="old.txt", content="new")
    with pytest.raises(NotApplied) as caught:
        forward(stock, "write_file", "l", path=str(tmp_path / "away" / "x"), content="x")
    assert "No such file or directory" in str(caught.value) and "\n" not in str(caught.value)
    back(stock, "write_file", "k", {"path": "old.txt"}, output)
    assert (root / "old.txt").read_text() == "old"


def test_the_command_that_deletes_what_is_old_leaves_what_running_tasks_need(root: Path) -> None:
    """The file that a task has just replaced may be of last year."""
    os.utime(root / "old.txt", (1_000_000_000, 1_000_000_000))
    before = snapshot(root)
    forward(stock, "write_file", "k", path="old.txt", content="new")
    (command,) = re.findall("`(find ROOT/[^`]*)`", DOCS.read_text())
    subprocess.run(shlex.split(command.replace("ROOT", str(root))), check=True)
    back(stock, "write_file", "k", {"path": "old.txt", "content": "new"})
    assert snapshot(root) == before
