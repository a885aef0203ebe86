"""A GSM of few weights, and clips of random pixels."""

import torch

from gsm_plugin.archs.gsm_arch import GSMamba

TINY = {
    'upscale': 2,
    'prop_depth': 2,
    'attn_depth': 2,
    'pa_frame': 1,
    'embed_dims': 8,
    'num_heads': 2,
    'use_checkpoint_attn': False,
    'use_checkpoint_ffn': False,
}


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    return GSMamba(**{**TINY, **changes})


def clip(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
