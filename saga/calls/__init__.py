"""The one door from a task to its activities, forward and back."""
