"""Source `webcam`: cameras that are plugged into this box."""
