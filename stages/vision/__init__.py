"""Picture algorithms that every room of `stages` may use: pure functions and models of numpy and OpenCV."""
