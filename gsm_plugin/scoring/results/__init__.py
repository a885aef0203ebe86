"""What networks scored, and where figures come from: records, published figures, averages."""
