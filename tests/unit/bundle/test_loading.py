"""What is wrong in a bundle's module is said with the file and the line of the user's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep import Bundle, DefinitionError, Undo
from counterstep.bundle.loading import load_bundle

DEEP = "def convert(text):\n    return int(text)\n\n\nLIMIT = convert('ten')\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        (
            "deep_one",
            {"deep_one.py": "import deep_two\n", "deep_two.py": DEEP},
            "ValueError: invalid literal for int() with base 10: 'ten' (deep_two.py, line 2)",
        ),
        (
            "wrong_syntax",
            {"wrong_syntax.py": "import wrong_syntax_2\n", "wrong_syntax_2.py": "x = 1\ny = = 2\n"},
            "SyntaxError: invalid syntax (wrong_syntax_2.py, line 2)",
        ),
        (
            "not_there",
            {"not_there.py": "\nimport a_package_that_is_not_there\n"},
            "No module named 'a_package_that_is_not_there' (not_there.py, line 2)",
        ),
        (
            "from_library",
            {"from_library.py": "import json\n\nDATA = json.loads('{')\n"},
            "(from_library.py, line 3)",
        ),
        (
            "round_one",
            {
                "round_one.py": "from round_two import b\na = 1\n",
                "round_two.py": "from round_one import a\nb = 2\n",
            },
            "(round_two.py, line 1)",
        ),
        (
            "exits",
            {"exits.py": "import sys\nsys.exit(3)\n"},
            "SystemExit: 3 (exits.py, line 2)",
        ),
    ],
)
def test_an_import_error_names_the_line_of_the_users_code(
    folder: Path, name: str, files: dict[str, str], message: str
) -> None:
    for file, text in files.items():
        (folder / file).write_text(text)
    with pytest.raises(DefinitionError) as caught:
        load_bundle(f"{name}:shop")
    assert message in str(caught.value)
    assert f"bundle '{name}:shop': {name} cannot be imported: " in str(caught.value)


class Desk:
    """Its methods take no attributes, so that they cannot be registered."""

    def take(self, what: str) -> str:
        return what


def take(what: str) -> str:
    return what


def test_a_refused_declaration_leaves_nothing_in_the_bundle() -> None:
    shop = Bundle("shop")
    with pytest.raises(DefinitionError, match="not a plain function"):
        shop.tool(compensate="give_back")(Desk().take)
    with pytest.raises(DefinitionError):
        shop.tool(compensate="give_back", timeout="soon")(take)
    assert (dict(shop.tools), dict(shop.functions)) == ({}, {})

    shop.tool(compensate="give_back")(take)

    @shop.compensation
    def give_back(undo: Undo[str]) -> None: ...

    assert list(shop.tools) == ["shop.take"]
