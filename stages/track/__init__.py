"""Following objects through time; usable as a library without the engine."""
