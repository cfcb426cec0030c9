"""Child workflows, and what they hand over to their parent."""
