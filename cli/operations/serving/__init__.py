"""The commands that serve others until they are asked to stop."""
