"""The ground plane: pixels to metres and speeds with their errors; usable as a library without the engine."""
