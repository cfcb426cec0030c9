"""What operators need: logs without secrets, and a check for the search attributes of a namespace."""
