"""How bundles declare which events start which tasks."""
