"""A dinner that a family plans by keyed entries of a calendar, and plans again when a flight is late."""
