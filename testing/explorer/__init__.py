"""The fault explorer: breaks a task in every place and in every way."""
