"""The default method: one likelihood ratio of motion, overlap and looks, learned from the scene itself."""
