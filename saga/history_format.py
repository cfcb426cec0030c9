"""Names and versions that recorded histories hold; a change here breaks tasks under way."""

from __future__ import annotations

APPRAISE = "counterstep.appraise"
CALIBRATE = "counterstep.calibrate"
CALL_MODEL = "counterstep.call_model"
CONVERSATION = "counterstep.conversation"
DELIVER_EVENT = "counterstep.deliver_event"
HOST = "counterstep.host"
HOSTED_MODEL = "counterstep.hosted_model"
JOIN = "counterstep.join"
MATCH_EVENT = "counterstep.match_event"
MATCH_JOIN = "counterstep.match_join"
NOTE_OUTCOMES = "counterstep.note_outcomes"
NOTIFY = "counterstep.notify"
PROCESS_AGENT = "counterstep.agent"
PUBLISH = "counterstep.publish"
READ_OUTSTANDING = "counterstep.read_leftovers"
READ_LOST_UNDOS = "counterstep.read_lost_undos"
READ_REPLACED = "counterstep.read_replaced"
RECOVER = "counterstep.recover"
RESOLVE = "counterstep.resolve"
SELECT_AGENT = "counterstep.select_agent"
TEAM = "counterstep.team"
VERIFY = "counterstep.verify"

MODEL_CALLS = frozenset({CALL_MODEL, HOSTED_MODEL})
"""The activities that ask models."""

APPROVALS = "counterstep.approvals"
"""Memo of a child workflow: the approvals that its parent demands of its calls, as in a spec."""

HEADER = "counterstep"
"""Header field of every activity that the engine schedules; it is not encrypted: names and ids only."""


EVENTS_HEADER = "counterstep-events"
"""Header field of what events have led to, from workflow to workflow and on every call: their topics."""

FORMAT_VERSION = 1
"""Version of what is recorded in histories: headers, activity ids, the snapshot."""

ENGINE = 10
"""What tasks that begin now are run by; a task keeps the number with which it began.

Whatever a change makes the engine do differently (other calls, other ids, another order, other words to a
model) it does from a number on: ``snapshot.engine >= 2``. Tasks that were begun before go on as before.
"""

RETRACT = "counterstep.retract"
"""The compensation that every agent call has unless it names its own."""

RECOVER_CHILD = "counterstep.recover_child"
"""The compensation of a child workflow that did not come to an end of its own: undo it from its history."""

STAND_IN = "stand-in/echo"
"""The model that plays agents of a bundle with ``stand_in=True`` where no model is set."""

LONG_CONVERSATION = "talk"
"""The last part of the path of a conversation that goes on in a child workflow."""

LONG_TEAM = "team"
"""Begins the last part of the path of a team that goes on in a child workflow; the number of its first turn
there follows."""
