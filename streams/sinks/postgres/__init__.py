"""Events in a table of PostgreSQL."""
