"""Scatter in inference: flow warp, residual sum over the frames themselves, and the layer norm of the sum."""
