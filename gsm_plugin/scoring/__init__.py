"""Runs networks over clips, scores them and keeps the results: comparisons and leaderboards."""
