"""An example: many companies are researched side by side, each by a supervisor and specialists."""
