"""Switches of PyTorch that hold for the whole process: read by ops, turned for a while by who decides."""
