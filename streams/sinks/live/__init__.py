"""Live pictures for browsers and players, served by this box itself."""
