"""Training: a loop that stops and goes on at any iteration, its checkpoints, logs and curves."""
