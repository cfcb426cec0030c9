"""Who does a job where several agents can: what is known of them, and which one is drawn."""
