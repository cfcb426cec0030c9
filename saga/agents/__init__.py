"""The loop of a model agent, its tools, and conversations that grow long."""
