"""Sink `clips`: what happened shortly before and after an event, one file each, by copy."""
