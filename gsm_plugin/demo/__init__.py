"""The demo's data, miniatures of the leaderboards, and the report at its end."""
