"""Runs BasicSR's pipelines with option files that are read safely and checked before anything is built."""
