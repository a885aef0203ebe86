"""Films and folders of images through any network: reading, colour, scenes, windows, segments, writing."""
