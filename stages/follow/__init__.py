"""Following single objects by their colour, without a detector; the algorithms are usable as a library."""
