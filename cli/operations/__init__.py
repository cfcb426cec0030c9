"""The work behind the commands: finding, starting, watching, deciding and recovering tasks."""
