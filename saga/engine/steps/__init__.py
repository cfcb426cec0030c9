"""One step of a graph: its items, its attempts, what it calls and what follows a failure."""
