"""How exact a network is in each precision: outputs and gradients against float64, and quality on real clips."""
