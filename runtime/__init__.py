"""What a process needs to run: settings, a connection, a health check, and an orderly end."""
