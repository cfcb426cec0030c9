"""Teams that are too long for the history of their task."""
