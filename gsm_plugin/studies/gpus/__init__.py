"""Several GPUs against one: the same losses, and how much faster."""
