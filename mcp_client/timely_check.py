"""Checks a value against a schema of a server, which may have been written so that this takes years."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from ..saga.errors import Fault
from ..saga.spec.json_schema import check_input

LONGEST_CHECK: Final = 2.0
"""Seconds; a result of 1 MB takes a fraction of one."""


class _GivenUp(BaseException):
    """Ends the thread of a check, and is no error that a library would handle."""


async def check_in_time(schema: Mapping[str, Any], value: Any, path: str) -> list[Fault]:
    """Does what `check_input` does, beside what else the worker does; a check that takes too long is a fault.

    Args:
        schema: JSON Schema, of whomever.
        value: A JSON value.
        path: What messages call the value.
    """
    done: Future[list[Fault]] = Future()

    def check() -> None:
        try:
            done.set_result(check_input(schema, value, path))
        except _GivenUp:
            return
        except Exception as error:
            done.set_exception(error)

    thread = threading.Thread(target=check, name="counterstep-schema", daemon=True)
    thread.start()
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), LONGEST_CHECK)
    except TimeoutError:
        return [Fault(path, f"cannot be checked within {LONGEST_CHECK:g} s: its schema asks for too much")]
    finally:
        if not done.done() and thread.ident is not None:
            # As the SDK ends threads of activities: the thread has Python code only, which this breaks off.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(_GivenUp)
            )
