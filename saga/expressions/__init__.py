"""CEL expressions over JSON: parsed, rewritten, evaluated, and rendered in templates."""
