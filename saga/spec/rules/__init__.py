"""What the checker of specs finds around pivots, approvals and teams."""
