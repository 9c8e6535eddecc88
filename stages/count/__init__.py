"""Counting objects that cross lines; the geometry is usable as a library without the engine."""
