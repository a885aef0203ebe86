"""Bilinear warping by optical flow."""
