"""Recordings: packets copied into segments on the disk, with an index and bounds."""
