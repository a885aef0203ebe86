"""Several data sets in one."""
