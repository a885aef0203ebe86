"""The query of the implicit warp in inference: features, where within a pixel a flow leads, and their projection."""

from gsm_plugin.ops.encoded_query.interface import encoded_query

__all__ = ['encoded_query']
