"""Whether a camera can be believed: frozen, dark, blurred, covered, moved."""
