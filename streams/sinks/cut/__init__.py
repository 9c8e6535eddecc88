"""A range of time out of recordings, as one file, by copy."""
