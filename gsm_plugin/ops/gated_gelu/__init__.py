"""One half of the channels, multiplied by GELU of the other (GEGLU)."""

from gsm_plugin.ops.gated_gelu.interface import gated_gelu

__all__ = ['gated_gelu']
