"""What is between the two projections of a bidirectional Mamba."""
