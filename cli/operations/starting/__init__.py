"""What the commands that start tasks do."""
