"""The commands, one a file; what they do is in `operations`."""
