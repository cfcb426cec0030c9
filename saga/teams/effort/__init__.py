"""How much a team does: its numbers, set when it starts, and what each member has added in the end."""
