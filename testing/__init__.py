"""What users need to test their own tasks and sagas."""
