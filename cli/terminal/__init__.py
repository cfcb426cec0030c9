"""What a person sees and types: streams, tables, the live board, questions."""
