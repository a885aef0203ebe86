"""Switches that hold for the whole process, PyTorch's and one of ours: read by ops, turned by who decides."""
