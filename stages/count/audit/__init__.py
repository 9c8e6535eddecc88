"""A person judges counts: what was kept of a run, a page to mark it on, and the accuracy that follows."""
