"""The demo: four articles, one published and three undone, each with the rows and files of the store."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage import as_promised, command, exit_with, play, program, say, show, worker
from .store import DRAFT, MEDIA, PAGE, SEO, SITE, SLUG, Store, store

SPEC = Path(__file__).with_name("content_pipeline.yaml")

BUNDLE = "examples.content_pipeline.bundle:content"

ITEMS = "SELECT kind, name, file, state FROM content_items WHERE task = :task ORDER BY item"

ASKS_A_PERSON = 3
"""The exit code of a run that waits for a person and that nobody answers at a terminal."""

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Scene:
    """One article, and what it must leave behind.

    Attributes:
        title: What is about to be shown.
        topic: What the article is about.
        site: How the site is, ``up`` or ``down``.
        answer: What the demo does when the task asks for a yes: ``approve``, ``reject`` or ``cancel``.
        state: How the task must end.
        kinds: The kinds of the items that must stand at the end, one of each.
        proof: What rows and files prove, when they are as they must be.
    """

    title: str
    topic: str
    site: str
    answer: str
    state: str
    kinds: tuple[str, ...]
    proof: str


SCENES = [
    Scene(
        title="All is well: the first draft does not pass the fact-check, the second does, and is published",
        topic="lighthouses",
        site="up",
        answer="approve",
        state="completed",
        kinds=(DRAFT, MEDIA, PAGE, SEO, SLUG),
        proof="One draft is kept, the refused one is gone, and the page is on the site.",
    ),
    Scene(
        title="The site takes no page, when all else is done and approved",
        topic="canals",
        site="down",
        answer="approve",
        state="rolled_back",
        kinds=(),
        proof="Address, picture, drafts and search entry are undone: no file of the article is left.",
    ),
    Scene(
        title="The person says no",
        topic="clocks",
        site="up",
        answer="reject",
        state="rolled_back",
        kinds=(),
        proof="Without the yes nothing is published, and nothing of the article is left.",
    ),
    Scene(
        title="Somebody cancels the task while it waits for the yes",
        topic="comets",
        site="up",
        answer="cancel",
        state="cancelled",
        kinds=(),
        proof="The cancel has undone everything, too.",
    ),
]


def main() -> int:
    """Plays the scenes; returns 0 if the store was as promised after each of them."""
    contents = store("")
    contents.workplace.start_over()
    for number, scene in enumerate(SCENES, 1):
        say(f"\n{number}. {scene.title}")
        task_id = f"article-demo-{uuid.uuid4().hex[:8]}"
        before = contents.workplace.files()
        _show_files("Files before", before)
        code, result = _run(contents, scene, task_id)
        if result is None or code not in (0, 1, 130):
            say(f"\nThe run has ended with code {code}; the reason is above.")
            return code or 1
        after = contents.workplace.files()
        rows = look(contents, task_id)
        _show_rows("After", rows)
        _show_files("Files after", after)
        if not as_promised(differences(scene, str(result.get("state")), rows, before, after), scene.proof):
            return 1
    say("\nAll of them are in the Web UI, at the addresses above. To end the server:\n")
    say(f"$ {program()} server --stop")
    return 0


def look(contents: Store, task_id: str) -> Rows:
    """Returns the rows of a task."""
    return [tuple(row) for row in contents.workplace.ask(ITEMS, task=task_id)]


def differences(
    scene: Scene, state: str, rows: Rows, before: Sequence[str], after: Sequence[str]
) -> list[str]:
    """Says where the store is not as the scene promises.

    Args:
        scene: What was played.
        state: How the task has ended.
        rows: What `look` finds after it.
        before: The files before it.
        after: And the files after it.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    found = []
    if state != scene.state:
        found.append(f"the task must end {scene.state}, and it is {state}")
    standing = tuple(sorted(row[0] for row in rows if row[-1] == "standing"))
    if standing != scene.kinds:
        found.append(f"there must stand {_list(scene.kinds)}; the rows say {_list(standing)}")
    if len([row for row in rows if row[0] == DRAFT]) < 2:
        found.append("the fact-check must refuse the first draft, and there is no second one")
    promised = {row[2] for row in rows if row[-1] == "standing" and row[2]}
    new = set(after) - set(before) - {"site/index.html"}
    if new != promised:
        found.append(f"new files must be {_list(sorted(promised))}; there are {_list(sorted(new))}")
    lost = set(before) - set(after)
    if lost:
        found.append(f"files of others are gone: {_list(sorted(lost))}")
    return found


def _run(contents: Store, scene: Scene, task_id: str) -> tuple[int, dict[str, Any] | None]:
    words = ["run", os.path.relpath(SPEC), "--bundle", BUNDLE]
    words += ["--input", f"topic={scene.topic}"]

    environment = {} if scene.site == "up" else {SITE: scene.site}
    code, result = play(words, task_id, environment=environment)
    if code != ASKS_A_PERSON:
        return code, result
    _show_rows("While it waits", look(contents, task_id))
    _show_files("Files while it waits", contents.workplace.files())
    with worker(BUNDLE, task_id, environment):
        if scene.answer == "cancel":
            command("cancel", task_id)
        else:
            say(
                "\nA person would answer in the inbox or at a terminal. Here the demo answers in their place:"
            )
            command("decide", task_id, "publish", scene.answer, "--by", "demo")
    return play(words, task_id, environment=environment)


def _show_rows(when: str, rows: Rows) -> None:
    columns = ITEMS.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
    show(f"{when}: {ITEMS}", columns, rows or [("nothing", "", "", "")])


def _show_files(title: str, files: Sequence[str]) -> None:
    say(f"\n{title}:\n")
    for file in files or ["none"]:
        say(f"  {file}")


def _list(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "nothing"


if __name__ == "__main__":
    exit_with(main, "CONTENT_FOLDER")
