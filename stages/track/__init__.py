"""Tracking: which detection is which object, from frame to frame."""
