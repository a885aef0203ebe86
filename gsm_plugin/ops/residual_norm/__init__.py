"""Layer norm, of what is given or of a residual sum that is made on the way, and that sum alone."""
