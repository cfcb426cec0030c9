"""Prints what `make test-agents` has seen, and writes it into the page about it."""

from __future__ import annotations

import json

from counterstep.tests.support.foreign_agents.frameworks import ENVIRONMENTS, FRAMEWORKS, HERE

PAGE = HERE.parent.parent / "docs" / "foreign" / "frameworks.md"
BEGIN, END = "<!-- begin: make test-agents -->", "<!-- end: make test-agents -->"

_HEAD = (
    "| agent | version | speaks | paid | paid twice | booked twice | undone too late "
    "| without a saga: paid twice | and bookings left |"
)


def rows() -> list[str]:
    """Returns a line for each framework that was seen."""
    seen = [
        json.loads(path.read_text())
        for framework in FRAMEWORKS
        if (path := ENVIRONMENTS / f"{framework.name}.json").exists()
    ]
    return [f"| {' | '.join(str(value) for value in row.values())} |" for row in seen]


def main() -> None:
    """Prints the table, and puts it into the page."""
    lines = [_HEAD, "|" + "---|" * _HEAD.count(" | ") + "---|", *rows()]
    print("\n".join(lines))
    if len(lines) < 2 + len(FRAMEWORKS):
        return  # only some were run here
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after)


if __name__ == "__main__":
    main()
