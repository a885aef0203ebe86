"""Multi-head attention in shifted 3D windows."""
