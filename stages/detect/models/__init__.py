"""Model files: what is known of them, where they lie, how they come here, and how they become ONNX."""
