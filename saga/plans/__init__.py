"""Plans that agents make: keyed items, what is wrong with a plan, and what a new plan changes."""
