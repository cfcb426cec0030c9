"""The commands, one in each file; the work that they do is in `operations`."""
