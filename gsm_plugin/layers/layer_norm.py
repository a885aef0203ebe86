"""Layer norm that takes the residual sum before it along, and writes what the next product of matrices reads."""

from torch import Tensor, nn

from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.ops import layer_norm, residual_layer_norm


class LayerNorm(nn.LayerNorm):
    """PyTorch's layer norm over the channels, in float32 inside; under autocast its result has autocast's type."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim), of any strides -> the same, contiguous."""
        return layer_norm(x, self.weight, self.bias, self.eps, precision_of_products(x))

    def of_sum(self, x: Tensor, update: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`scale * x + update` and its norm; x and update (..., dim), scale (dim,)."""
        return residual_layer_norm(x, update, scale, self.weight, self.bias, self.eps, precision_of_products(x))
