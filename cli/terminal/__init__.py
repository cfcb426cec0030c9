"""What a person sees and types at a terminal: streams, tables, the live board, and questions."""
