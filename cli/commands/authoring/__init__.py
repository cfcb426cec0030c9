"""Commands for who writes bundles and specs; they start no task."""
