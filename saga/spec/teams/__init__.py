"""The parameters of teams, one pattern a file; how they play is in `counterstep.saga.teams`."""
