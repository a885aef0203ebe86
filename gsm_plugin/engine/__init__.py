"""Trains and tests: option files that are read safely and checked first, a training loop that survives, checkpoints."""
