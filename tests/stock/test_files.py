"""Stock tools on real files: what they change, what their undos put back, and what they refuse."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from counterstep import NotApplied
from counterstep.resources import file_journal
from counterstep.stock import stock
from counterstep.tests.support.stock.calls import back, forward
from counterstep.tests.support.stock.workshop import fill, snapshot

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "replaced": ("write_file", {"path": "old.txt", "content": "new", "mode": "600"}),
    "new": ("write_file", {"path": "new.bin", "content": "AAEC/w==", "encoding": "base64"}),
    "longer": ("append_file", {"path": "old.txt", "content": "er"}),
    "begun": ("append_file", {"path": "begun.txt", "content": "first"}),
    "deleted": ("delete_file", {"path": "gone.txt"}),
    "moved": ("move_file", {"path": "here.txt", "to": "empty/there.txt"}),
    "folder": ("make_folder", {"path": "folder"}),
    "same folder": ("make_folder", {"path": "empty"}),
    "no folder": ("delete_folder", {"path": "empty"}),
}

AFTER = {
    "replaced": ["old.txt 600 6e6577"],
    "new": ["new.bin 644 000102ff"],
    "longer": ["old.txt 640 6f6c646572"],
    "begun": ["begun.txt 644 6669727374"],
    "deleted": [],
    "moved": ["empty/there.txt 644 68657265"],
    "folder": ["folder 755 folder"],
    "same folder": [],
    "no folder": [],
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "root"
    fill(root)
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", str(root))
    monkeypatch.setattr(os, "fsync", lambda _: None)  # it is slow, and no power fails here
    return root


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_change_is_made_once_and_taken_back_once(root: Path, call: str) -> None:
    tool, arguments = CALLS[call]
    before = snapshot(root)
    first = forward(stock, tool, "k", **arguments)
    after = snapshot(root)
    assert set(AFTER[call]) == set(after) - set(before)
    assert (after == before) == (call == "same folder")
    assert forward(stock, tool, "k", **arguments) == first
    assert snapshot(root) == after
    for output in (first, None):
        back(stock, tool, "k", arguments, output)
        assert snapshot(root) == before
    with pytest.raises(NotApplied, match="this call has been undone before"):
        forward(stock, tool, "k", **arguments)
    assert snapshot(root) == before
    # Under another key it is another call.
    assert forward(stock, tool, "l", **arguments) == first
    assert snapshot(root) == after


def test_an_undo_that_comes_first_changes_nothing_and_bars_the_call(root: Path, call: str) -> None:
    tool, arguments = CALLS[call]
    before = snapshot(root)
    back(stock, tool, "k", arguments)
    with pytest.raises(NotApplied, match="this call has been undone before"):
        forward(stock, tool, "k", **arguments)
    assert snapshot(root) == before


def test_the_very_file_comes_back(root: Path) -> None:
    """Not a copy: its times, its owner and its other links are as they were."""
    known = (root / "old.txt").stat()
    forward(stock, "write_file", "k", path="old.txt", content="new")
    assert (root / "old.txt").stat().st_ino != known.st_ino
    back(stock, "write_file", "k", {"path": "old.txt", "content": "new"})
    now = (root / "old.txt").stat()
    assert (now.st_ino, now.st_mtime_ns, now.st_uid, now.st_nlink) == (
        known.st_ino,
        known.st_mtime_ns,
        known.st_uid,
        1,
    )
    assert [path.name for path in (root / ".counterstep" / "kept").iterdir()] == []


class Cut(BaseException):
    """Ends a call as a kill does: nothing in the package catches it, and what is left to do is not done."""


def cut_at(number: int, call: Callable[[], object]) -> bool:
    """Makes a call that ends just before its `number`-th change of the disk; says if it has got that far.

    The explorer kills real workers, though only before and after a whole call.
    """
    left, sync = number, os.fsync

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut
            return None if change is sync else change(*arguments, **options)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        for name in ("link", "rename", "replace", "unlink", "mkdir", "rmdir", "fchmod", "fsync"):
            patch.setattr(os, name, dying(getattr(os, name)))
        try:
            call()
        except Cut:
            return True
    return False


@pytest.mark.long
def test_wherever_a_call_or_an_undo_is_cut_off_the_change_is_made_or_taken_back_whole(
    root: Path, call: str
) -> None:
    tool, arguments = CALLS[call]
    before = snapshot(root)
    number, keys = 0, iter(range(1000))
    while True:
        repeated, undone, late = (f"{call} {next(keys)}" for _ in range(3))
        was_cut = cut_at(number, lambda: forward(stock, tool, repeated, **arguments))  # noqa: B023
        forward(stock, tool, repeated, **arguments)
        assert set(AFTER[call]) == set(snapshot(root)) - set(before), f"cut at {number}, and repeated"
        cut_at(number, lambda: back(stock, tool, repeated, arguments))  # noqa: B023
        back(stock, tool, repeated, arguments)
        assert snapshot(root) == before, f"undo cut at {number}, and repeated"
        cut_at(number, lambda: forward(stock, tool, undone, **arguments))  # noqa: B023
        back(stock, tool, undone, arguments)
        assert snapshot(root) == before, f"cut at {number}, and undone"
        cut_at(number, lambda: back(stock, tool, late, arguments))  # noqa: B023
        back(stock, tool, late, arguments)
        with pytest.raises(NotApplied):
            forward(stock, tool, late, **arguments)
        assert snapshot(root) == before
        if not was_cut:
            break
        number += 1
    assert number >= 3, "the test cuts nothing"
    hidden = root / ".counterstep"
    assert [path.name for folder in ("kept", "new") for path in (hidden / folder).iterdir()] == []


def test_steps_on_one_file_are_taken_back_one_after_the_other(root: Path) -> None:
    before = snapshot(root)
    calls = [
        ("write_file", {"path": "old.txt", "content": "one"}),
        ("append_file", {"path": "old.txt", "content": " two"}),
        ("move_file", {"path": "old.txt", "to": "older.txt"}),
        ("write_file", {"path": "older.txt", "content": "three"}),
        ("delete_file", {"path": "older.txt"}),
    ]
    for number, (tool, arguments) in enumerate(calls):
        forward(stock, tool, str(number), **arguments)
    assert not (root / "older.txt").exists()
    for number, (tool, arguments) in reversed(list(enumerate(calls))):
        back(stock, tool, str(number), arguments)
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("call", "meddle"),
    [
        ("replaced", lambda root: (root / "old.txt").write_text("mine")),
        ("replaced", lambda root: (root / "old.txt").chmod(0o604)),
        ("replaced", lambda root: (root / "old.txt").unlink()),
        ("new", lambda root: (root / "new.bin").write_bytes(b"mine")),
        ("deleted", lambda root: (root / "gone.txt").write_text("mine")),
        ("moved", lambda root: (root / "empty" / "there.txt").write_text("mine")),
        ("moved", lambda root: (root / "here.txt").write_text("mine")),
        ("folder", lambda root: (root / "folder" / "mine").touch()),
    ],
)
def test_what_others_have_changed_since_is_not_overwritten(
    root: Path, call: str, meddle: Callable[[Path], object]
) -> None:
    tool, arguments = CALLS[call]
    forward(stock, tool, "k", **arguments)
    meddle(root)
    theirs = snapshot(root)
    for _ in range(2):
        with pytest.raises(ApplicationError) as caught:
            back(stock, tool, "k", arguments)
        assert (caught.value.type, caught.value.non_retryable) == ("ChangedSince", True)
        assert snapshot(root) == theirs


def test_whoever_puts_things_right_by_hand_lets_the_undo_succeed(root: Path) -> None:
    before = snapshot(root)
    tool, arguments = CALLS["new"]
    forward(stock, tool, "k", **arguments)
    (root / "new.bin").unlink()
    back(stock, tool, "k", arguments)
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("write_file", {"path": "/etc/passwd", "content": ""}, "'/etc/passwd' is outside of the roots"),
        ("write_file", {"path": "../x", "content": ""}, "'../x' goes upwards"),
        ("write_file", {"path": "a/../../x", "content": ""}, "goes upwards"),
        (
            "write_file",
            {"path": ".counterstep/lock", "content": ""},
            "where Counterstep keeps what undos need",
        ),
        ("write_file", {"path": "x\0y", "content": ""}, "is not a path"),
        ("write_file", {"path": ".", "content": ""}, "is a root of this worker"),
        ("write_file", {"path": "empty", "content": ""}, "empty is a folder, and not a file"),
        ("write_file", {"path": "nowhere/x", "content": ""}, "nowhere; make it first"),
        ("write_file", {"path": "old.txt/x", "content": ""}, "old.txt is not a folder"),
        ("write_file", {"path": "x", "content": "!", "encoding": "base64"}, "the content is not base64"),
        ("write_file", {"path": "x", "content": "", "mode": "rw"}, "'rw' is not a mode"),
        ("write_file", {"path": "x" * 300, "content": ""}, "File name too long"),
        ("delete_file", {"path": "nothing"}, "nothing is not there, and not a file"),
        ("delete_folder", {"path": "full"}, "full is not empty"),
        ("move_file", {"path": "here.txt", "to": "old.txt"}, "old.txt is there already"),
        ("read_file", {"path": "empty"}, "empty is a folder"),
        ("read_file", {"path": "gone.txt"}, "is not UTF-8 text"),
        ("read_file", {"path": "nothing"}, "there is no file"),
        ("list_folder", {"path": "nothing"}, "there is no folder"),
        # Links, out of the root and within it.
        (
            "write_file",
            {"path": "out/x", "content": ""},
            "out is a symbolic link, and those are not followed",
        ),
        ("write_file", {"path": "link", "content": ""}, "link is something else, and not a file"),
        ("read_file", {"path": "link"}, "is not a file, and links are not followed"),
        ("read_file", {"path": "out/secret"}, "out is a symbolic link"),
        ("delete_file", {"path": "link"}, "and not a file"),
        ("move_file", {"path": "here.txt", "to": "out/x"}, "out is a symbolic link"),
        ("make_folder", {"path": "out/x"}, "out is a symbolic link"),
        ("list_folder", {"path": "out"}, "out is a symbolic link"),
        ("read_file", {"path": "pipe"}, "is not a file"),
    ],
)
def test_what_cannot_be_is_refused_with_one_sentence(
    root: Path, tmp_path: Path, tool: str, arguments: dict[str, Any], said: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "link").symlink_to(root / "old.txt")
    (root / "full").mkdir()
    (root / "full" / "x").touch()
    os.mkfifo(root / "pipe")
    everything = sorted(tmp_path.rglob("[!.]*"))
    with pytest.raises(NotApplied) as caught:
        forward(stock, tool, "k", **arguments)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    hidden = root / ".counterstep"
    assert [path for path in sorted(tmp_path.rglob("[!.]*")) if hidden not in path.parents] == everything
    assert (root / "old.txt").read_text() == "old"
    assert [path.name for name in ("kept", "new") for path in (hidden / name).glob("*")] == []
    # The undo of a call that has done nothing has nothing to do.
    if stock.tools[f"stock.{tool}"].compensate and not arguments["path"].startswith("/"):
        back(stock, tool, "k", arguments)
        assert (root / "old.txt").read_text() == "old"


def test_without_the_setting_nothing_is_allowed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERSTEP_STOCK_ROOTS")
    with pytest.raises(NotApplied, match="this worker allows no files: COUNTERSTEP_STOCK_ROOTS is not set"):
        forward(stock, "read_file", "k", path=str(root / "old.txt"))


def test_several_roots_and_paths_to_them(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, alias = tmp_path / "other", tmp_path / "alias"
    other.mkdir()
    alias.symlink_to(other)
    monkeypatch.setenv("COUNTERSTEP_STOCK_ROOTS", f"{root}, {alias}")
    forward(stock, "write_file", "1", path=str(alias / "x"), content="x")
    assert forward(stock, "read_file", "2", path=str(other / "x"))["content"] == "x"
    assert forward(stock, "read_file", "3", path="old.txt")["content"] == "old"
    with pytest.raises(NotApplied, match="are below different roots"):
        forward(stock, "move_file", "4", path=str(root / "old.txt"), to=str(alias / "y"))
    names = [entry["name"] for entry in forward(stock, "list_folder", "5", path=str(root))]
    assert names == ["empty", "gone.txt", "here.txt", "log.txt", "old.txt"]


def test_a_large_file_is_kept_without_a_copy(root: Path) -> None:
    large = root / "large.bin"
    with large.open("wb") as file:
        file.truncate(5_000_000_000)
    known = large.stat()
    forward(stock, "write_file", "k", path="large.bin", content="small")
    journal = file_journal.FileJournal(root)
    assert journal.kept("k").stat().st_ino == known.st_ino
    back(stock, "write_file", "k", {"path": "large.bin"})
    assert (large.stat().st_ino, large.stat().st_size) == (known.st_ino, 5_000_000_000)


def test_binary_content_goes_both_ways(root: Path) -> None:
    read = forward(stock, "read_file", "k", path="gone.txt", encoding="base64")
    assert read["content"] == "AP8="
    forward(stock, "write_file", "l", path="copy", content=read["content"], encoding="base64")
    assert (root / "copy").read_bytes() == b"\x00\xff"
