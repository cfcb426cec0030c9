"""The web page where people answer what tasks ask; `counterstep inbox` serves it.

It needs the extra ``inbox``. It only reads boards and sends the updates that any client can send, so it can
be stopped, restarted and run several times beside itself.
"""
