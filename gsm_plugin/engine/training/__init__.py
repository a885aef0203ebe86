"""Training: a loop that stops and goes on at any iteration, and what it needs."""
