"""Layer norm, alone and of a residual sum, that writes what the next product of matrices reads."""

from torch import Tensor, nn

from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.ops import layer_norm, residual_layer_norm


class LayerNorm(nn.LayerNorm):
    """PyTorch's layer norm over the channels, in float32 inside; under autocast its result has autocast's type."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim), of any strides -> the same, contiguous."""
        return layer_norm(x, self.weight, self.bias, self.eps, precision_of_products(x))


def sum_and_norm(x: Tensor, update: Tensor, norm: LayerNorm, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Computes `total = scale * x + update` and `norm(total)` in one pass.

    Args:
        x: (..., dim).
        update: As large as x.
        norm: The layer norm.
        scale: (dim,), or None for ones.

    Returns:
        The sum and its norm.
    """
    return residual_layer_norm(x, update, scale, norm.weight, norm.bias, norm.eps, precision_of_products(x))
