"""Reading and checking the configuration."""
