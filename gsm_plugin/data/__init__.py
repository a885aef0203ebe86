"""Datasets that BasicSR lacks, and what works on data sets."""
