"""Telling more of objects than where they are: their colours."""
