"""`Saga`, for workflows of a user's own."""
