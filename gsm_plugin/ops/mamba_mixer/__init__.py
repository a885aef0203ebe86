"""A bidirectional Mamba with both of its projections, in inference."""

from gsm_plugin.ops.mamba_mixer.interface import mamba_mixer

__all__ = ['mamba_mixer']
