"""Plumbing of the ops that needs PyTorch alone."""
