"""How large a payload, and all payloads of one message, may be."""

from __future__ import annotations

MAX_PAYLOAD = 1_000_000
"""Bytes of one payload. The server refuses 2 MB, and the SDK then fails workflow tasks for ever."""

UNDO_OVERHEAD = 8_000
"""Bytes an undo's argument may have beside the forward call's input, output and `before`."""

MAX_MESSAGE = 2_500_000
"""Bytes of arguments that one workflow task may schedule.

gRPC messages end at 4 MB, and a workflow whose task is larger is terminated by the server without any undo
(seen with server 1.32 as ``GrpcMessageTooLarge``).
"""
