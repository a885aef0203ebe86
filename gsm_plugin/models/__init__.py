"""Models for BasicSR's registry: they bind option files to training and inference."""
