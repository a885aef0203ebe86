"""GEGLU's gate by PyTorch's own GELU."""

from torch import Tensor
from torch.nn import functional as F


def gated_gelu_torch(hidden: Tensor) -> Tensor:
    """Computes `gated_gelu`, argument and result as described there."""
    gate, value = hidden.chunk(2, -1)
    return F.gelu(gate) * value
