"""Clips on the disk: names, layouts, frames, pairs of LQ and GT, how LQ is made of GT."""
