"""What has to be undone, as pure values."""
