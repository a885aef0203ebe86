"""Runs networks over clips, scores them, and keeps the results: what comparisons and leaderboards share."""
