"""What flows are worth to a trained network, and what gradients its flow network gets (docs/training.md)."""
