"""Routes: from which gate to which; the algorithm knows no engine."""
