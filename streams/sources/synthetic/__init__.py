"""A drawn street with known truth: for the demo, for tests, and for trying settings without a camera."""
