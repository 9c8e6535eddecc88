"""Heat maps and flow maps: where objects are, for how long, and which way they go."""
