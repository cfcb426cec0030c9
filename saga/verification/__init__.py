"""Independent verdicts on outputs: rules, checks and judges."""
