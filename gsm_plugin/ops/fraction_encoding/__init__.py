"""Adds to features where within a pixel a flow leads."""
