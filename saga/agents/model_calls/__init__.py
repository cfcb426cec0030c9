"""The door from a task to models: room in the budgets before a call, and what it has cost after it."""
