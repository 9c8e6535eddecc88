"""Zones: who is in them, for how long, and what is worth telling of that; the algorithms know no engine."""
