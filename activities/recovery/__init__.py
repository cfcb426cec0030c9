"""Activities that read histories for a recovery."""
