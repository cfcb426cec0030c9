"""What a command line says: options, values, the task and the server that it names."""
