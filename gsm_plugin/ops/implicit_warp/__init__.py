"""Warping by attention over the four pixels around the place that a flow points to."""
