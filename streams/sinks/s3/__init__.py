"""Snapshots, clips and events into a bucket."""
