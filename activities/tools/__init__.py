"""The stock tools: files and folders, rows of a database."""
