"""How far the output and the gradients of one training step are from those of another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers import upsample

# Smaller gradients, relative to the largest, are rounding errors of zero.
_ZERO = 1e-9


class Step(NamedTuple):
    """Output and gradients by name of the parameter, in float64."""

    output: Tensor
    gradients: dict[str, Tensor]


class GradientErrors(NamedTuple):
    """Norms of differences of gradients over their norms: of all together, and of each parameter."""

    whole: float
    of: dict[str, float]

    @property
    def worst(self) -> str:
        """The parameter whose gradient is off most."""
        return max(self.of, key=self.of.__getitem__)

    @property
    def median(self) -> float:
        """Of the parameters' errors, the one in the middle, of an even number the greater one."""
        return sorted(self.of.values())[len(self.of) // 2]

    def above(self, bound: float) -> list[str]:
        """The parameters whose gradients are off by more than a bound."""
        return [name for name, error in self.of.items() if error > bound]


def take_step(network: nn.Module, run: Callable[[], Tensor], weighting: Tensor, loss_scale: float = 1.0) -> Step:
    """Runs a network forwards and backwards, without an update.

    Args:
        network: Its gradients are replaced.
        run: Calls the network, in the precision in question, and returns its output.
        weighting: What the elements of the output weigh in the mean that is differentiated, as large as the output.
        loss_scale: What the mean is multiplied and gradients are divided by, so that small ones survive in float16.
    """
    network.zero_grad(set_to_none=True)
    output = run()
    ((output.double() * weighting).mean() * loss_scale).backward()
    gradients = {
        name: one.grad.double() / loss_scale for name, one in network.named_parameters() if one.grad is not None
    }
    return Step(output.detach().double(), gradients)


def gradient_errors(actual: Step, wanted: Step, exact: Step) -> GradientErrors:
    """How far `actual` is from `wanted`, over the parameters whose `exact` gradient is not zero."""
    norms = {name: gradient.norm() for name, gradient in exact.gradients.items()}
    names = [name for name, norm in norms.items() if norm > _ZERO * max(norms.values())]
    off = {name: (actual.gradients[name] - wanted.gradients[name]).norm() for name in names}
    of = {name: (off[name] / wanted.gradients[name].norm()).item() for name in names}
    whole = torch.stack(list(off.values())).norm() / torch.stack([norms[name] for name in names]).norm()
    return GradientErrors(whole.item(), of)


@contextmanager
def smooth_derivatives() -> Iterator[None]:
    """Lets no derivative of a ReLU or LeakyReLU jump at zero, where the last bit decides between two gradients."""

    def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
        return _SmoothLeakyReLU.apply(input, negative_slope)

    def relu(input: Tensor, inplace: bool = False) -> Tensor:
        return _SmoothLeakyReLU.apply(input, 0.0)

    def shuffle_leaky_relu(
        x: Tensor, bias: Tensor, factor: int = 1, slope: float = 1.0, backend: str = 'auto'
    ) -> Tensor:
        shuffled = fused(x, bias, factor, backend=backend)
        return shuffled if slope == 1 else leaky_relu(shuffled, slope)

    # the op has a LeakyReLU inside
    originals, fused = (F.leaky_relu, F.relu), upsample.shuffle_leaky_relu
    F.leaky_relu, F.relu, upsample.shuffle_leaky_relu = leaky_relu, relu, shuffle_leaky_relu
    try:
        yield
    finally:
        (F.leaky_relu, F.relu), upsample.shuffle_leaky_relu = originals, fused


class _SmoothLeakyReLU(torch.autograd.Function):
    """A LeakyReLU with a derivative that rises from its slope to one instead of jumping."""

    @staticmethod
    def forward(ctx, x: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return x.clamp_min(0) + slope * x.clamp_max(0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * (ctx.slope + (1 - ctx.slope) * x.sigmoid()), None
