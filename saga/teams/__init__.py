"""Teams: one pure planner a pattern, and the loop that plays them."""
