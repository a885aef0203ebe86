"""Gather in inference: the implicit warp and the layer norm of its result, frame by frame at each pixel."""
