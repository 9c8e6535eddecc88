"""Who is probably the same in two cameras: by looks and by the time that the way takes."""
