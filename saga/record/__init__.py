"""What a task remembers, and what it shows of that."""
