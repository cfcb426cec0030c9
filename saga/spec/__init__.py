"""A task as data: its parts, its checker, its graph, and the catalog that it draws on."""
