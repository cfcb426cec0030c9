"""Forward activities: call a model, call a tool, validate, resolve."""
