"""How right the trackers are on MOTChallenge folders: reading, running, scoring, reporting."""
