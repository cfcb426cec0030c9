"""How a process of ours begins and ends: its settings, its connection, its health."""
