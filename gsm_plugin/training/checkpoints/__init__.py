"""Files of a training that are written whole or not at all, and the folder of an experiment that keeps them."""
