"""The code blocks of the documentation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its title (a file's name), its text, and the line where it begins."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it is; ``add to FILE`` goes on with one."""
        name = self.title.removeprefix("add to ")
        return name if re.fullmatch(r"[\w./-]+\.\w+", name) else None

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block: lines after ``$ `` in a console, all lines otherwise."""
        return [command for command, _ in self.session()]

    def session(self) -> Iterator[tuple[str, str]]:
        """Each command of a shell block, with what it prints."""
        if self.language == "sh":
            joined = self.text.replace("\\\n", " ")
            yield from ((line, "") for line in joined.splitlines() if line.strip() and line[0] != "#")
        elif self.language == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield command, printed


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    found = []
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence":
            title = re.search(r'title="([^"]*)"', token.info)
            line = token.map[0] + 1 if token.map else 0
            words = token.info.split()
            language = words[0] if words else ""
            found.append(Block(page, line, language, title[1] if title else "", token.content))
    return found


def words_of(command: str) -> list[str]:
    """A command without variables before it, redirections, pipes and ``&``."""
    words = shlex.split(re.split(r" [|<]| \d?>|&&| &$", command)[0], comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return words
