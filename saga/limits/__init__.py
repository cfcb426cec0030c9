"""What a task may spend, and how large its payloads and its history may become; pure values."""
