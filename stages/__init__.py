"""What happens to a frame: detect, track, count, draw."""
