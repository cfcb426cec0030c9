"""The authoring layer: what users declare, and how a worker finds and runs it."""
