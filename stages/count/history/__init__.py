"""Trajectories that are kept, so that a question that nobody has asked yet can be answered later."""
