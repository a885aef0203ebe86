"""The query of the implicit warp in inference: features, where within a pixel a flow leads, and their projection."""
