"""Plumbing of the ops that are Triton kernels."""
