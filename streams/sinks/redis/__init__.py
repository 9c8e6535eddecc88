"""Events into a Redis stream."""
