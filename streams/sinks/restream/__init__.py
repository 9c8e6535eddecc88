"""Streaming on: what comes in, or what is drawn, to a server elsewhere."""
