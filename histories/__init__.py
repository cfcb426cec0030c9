"""Recorded histories, read without the code that ran: what was done, and what is still to be undone."""
