"""An outside package: an incident in a real service, healed by a team, or put back as it was."""
