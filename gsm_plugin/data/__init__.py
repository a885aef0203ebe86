"""Datasets that BasicSR lacks, and the demo's data."""
