"""Painting results onto a copy of the picture."""
