"""Parameters and calls to ops; nothing here knows BasicSR. Features are channels-last: (b, t, h, w, c)."""
