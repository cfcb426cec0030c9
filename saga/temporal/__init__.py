"""What the SDK's workflow API lacks: handlers that replace each other, scopes, a cancel as state."""
