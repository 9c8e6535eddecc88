"""Proof for every count: a crop of the object, where to find the clip, and the line's pixels over time."""
