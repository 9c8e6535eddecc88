"""What an object looks like, as a vector: embeddings from colours, or from networks trained to tell apart."""
