"""Keeps an op finite on bfloat16 and float16: it computes in float32 on values that float16 can hold."""

import torch
from torch import Tensor

_HALF = (torch.bfloat16, torch.float16)
_LARGEST = torch.finfo(torch.float16).max


def computing_type(dtype: torch.dtype) -> torch.dtype:
    """What an op computes in for inputs of a type: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def saturate(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Clips to the range of float16, 65504, where the op's inputs are of half precision; else nothing changes.

    Then a product of seven factors is still less than what float32 can hold, though bfloat16 reaches as far as
    float32 does. NaN stays NaN, infinity becomes 65504.

    Args:
        x: Any tensor.
        dtype: Type of the op's inputs.
    """
    return x.clamp(-_LARGEST, _LARGEST) if dtype in _HALF else x


def round_to(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Casts a result; where float16 cannot hold it, to the largest that it can."""
    return saturate(x, dtype).to(dtype) if dtype == torch.float16 else x.to(dtype)
