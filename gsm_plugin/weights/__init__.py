"""Files of weights: the public ones, their download, one reader for every layout, and the fit to a network."""
