"""An example: an article is written, checked, and published with a person's yes, or undone."""
