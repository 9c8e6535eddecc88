"""What networks mean by their inputs and outputs: one file for each family."""
