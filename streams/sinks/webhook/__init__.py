"""Events to an HTTP(S) address."""
