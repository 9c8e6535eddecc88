"""What moves, without a network: moving objects, optical flow, left and removed things."""
