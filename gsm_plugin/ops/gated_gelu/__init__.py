"""One half of the channels, multiplied by GELU of the other (GEGLU)."""
