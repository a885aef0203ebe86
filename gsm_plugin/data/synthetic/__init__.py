"""Clips made from photographs: layers in smooth random motion, with blur of what moves fast."""
