"""LQ clips out of GT clips: bicubic, or degraded as real ones are."""
