"""Which known name somebody meant."""

from __future__ import annotations

import pytest

from counterstep.saga.names import nearest


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("reserv", ["reserve", "ship"], "; did you mean 'reserve'?"),
        ("reserve_stock", ["shop.price_of", "shop.reserve_stock"], "; did you mean 'shop.reserve_stock'?"),
        ("xyz", ["reserve", "ship"], "; there are reserve, ship"),
        ("xyz", ["ship"], "; there is only ship"),
        ("xyz", [], "; there are none"),
        (
            "xyz",
            [f"name{n}" for n in range(10, 22)],
            f"; there are {', '.join(f'name{n}' for n in range(10, 18))} and 4 more",
        ),
    ],
)
def test_the_nearest_name(name: str, known: list[str], hint: str) -> None:
    assert nearest(name, known) == hint
    assert nearest(name, iter(known)) == hint


def test_a_name_of_any_length_is_answered_at_once() -> None:
    assert nearest("x" * 1_000_000, ["reserve"] * 100) == "; there is only reserve"
