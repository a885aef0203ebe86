"""Studies of the network and of this project: what stands behind the tables of the pages. Called by scripts."""
