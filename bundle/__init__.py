"""What users declare, and how a worker finds it, checks it and runs it."""
