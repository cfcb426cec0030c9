"""Events that start tasks: what is published, the rules that wait for it, and the joins of several."""
