"""How right the counts are, crossing by crossing, against a known truth."""
