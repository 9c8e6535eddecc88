"""`sightline calibrate`: where the ground lies in a camera's picture."""
