"""What an operator sees of workers: logs without secrets, and the search attributes of a namespace."""
