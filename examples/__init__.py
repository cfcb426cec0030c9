"""Users of Counterstep: each folder is an outside package that imports only the public API."""
