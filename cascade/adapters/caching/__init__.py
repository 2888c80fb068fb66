"""Cache backends: bytes by key."""
