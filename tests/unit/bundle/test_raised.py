"""What users' code raises is told as what it is."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from counterstep.bundle.raised import as_application_error, leaves_of


class Problems(Exception):
    """An error that is false, as validation libraries have it."""

    def __len__(self) -> int:
        return 0


class Mute(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "type_", "message"),
    [
        (Problems("it did not work"), "Problems", "it did not work"),
        (ValueError(), "ValueError", "ValueError"),
        (Mute(), "Mute", "Mute, whose text cannot be read"),
        (SystemExit(3), "SystemExit", "3"),
        (ExceptionGroup("1 error", [PermissionError("401")]), "PermissionError", "401"),
        (
            ExceptionGroup("3", [KeyError("a"), ExceptionGroup("2", [OSError("b"), OSError("c")])]),
            "KeyError",
            "KeyError: 'a'; OSError: b; OSError: c",
        ),
        (BaseExceptionGroup("1", [KeyboardInterrupt()]), "KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_an_error_is_told_as_what_it_is(error: BaseException, type_: str, message: str) -> None:
    failure = as_application_error(error)
    assert (failure.type, failure.message) == (type_, message)


def test_a_long_text_and_a_large_group_are_cut() -> None:
    assert len(as_application_error(ValueError("x" * 100_000)).message) == 2000
    failure = as_application_error(ExceptionGroup("many", [ValueError(str(n)) for n in range(50)]))
    assert failure.message.endswith("ValueError: 9; and 40 more")


def test_a_group_is_final_only_where_all_of_it_is() -> None:
    final, other = ApplicationError("no", type="No", non_retryable=True), ValueError("x")
    assert as_application_error(ExceptionGroup("", [final, final])).non_retryable
    assert not as_application_error(ExceptionGroup("", [final, other])).non_retryable
    assert list(leaves_of(ExceptionGroup("", [final, ExceptionGroup("", [other])]))) == [final, other]
