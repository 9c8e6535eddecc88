"""Counting lines: their options, and the part of the stage `count` that watches them."""
