"""How much of a gradient is signal: its mean over batches against its deviation, and by frequencies of the encoding."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.ops import grid, sinusoids
from gsm_plugin.studies.clips import charbonnier

_GROUPS = {'spynet': 'flow network', 'implicit_align': 'implicit warp', 'mamba': 'scan'}


def measure_noise(
    net: GSMamba, batches: Iterable[tuple[Tensor, Tensor]], precision: str
) -> tuple[list[list[str]], list[list[str]]]:
    """Takes the gradients of each batch.

    Args:
        net: A trained network.
        batches: Pairs of lq and gt, two at least.
        precision: Of the forward pass.

    Returns:
        Rows by group of parameters: norm of the mean, deviation, their ratio, the ratio without what noise adds to the
        mean. Rows by frequency of the encoded fraction: turns a pixel, share of the gradient to the flows, ratio.
    """
    groups, waves = _parameters_of(net), _Frequencies()
    nothing = torch.zeros((), dtype=torch.float64)
    sums, squares = dict.fromkeys(groups, nothing), dict.fromkeys(groups, nothing)
    count = 0
    for lq, gt in batches:
        count += 1
        net.zero_grad()
        with waves.listening():
            with policy_for('training', precision).autocasting(lq.device):
                output = net(lq)
            # inside, since checkpointed layers are computed again
            charbonnier(output.float(), gt).backward()
        for group, values in groups.items():
            gradient = torch.cat([_gradient_of(value) for value in values]).double()
            sums[group] = sums[group] + gradient
            squares[group] = squares[group] + gradient.square()
    rows = [[group, *_ratios(sums[group], squares[group], count)] for group in groups]
    return rows, waves.rows()


def _gradient_of(value: Tensor) -> Tensor:
    assert value.grad is not None
    return value.grad.flatten()


def _parameters_of(net: GSMamba) -> dict[str, list[Tensor]]:
    groups: dict[str, list[Tensor]] = {name: [] for name in (*_GROUPS.values(), 'the rest')}
    for key, value in net.named_parameters():
        name = next((title for part, title in _GROUPS.items() if part in key), 'the rest')
        groups[name].append(value)
    return groups


def _ratios(total: Tensor, squares: Tensor, count: int) -> list[str]:
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(0) * count / (count - 1)
    deviation = variance.sum().sqrt()
    signal = (mean.square().sum() - variance.sum() / count).clamp_min(0).sqrt()
    return [f'{mean.norm():.2e}', f'{deviation:.2e}', f'{mean.norm() / deviation:.3f}', f'{signal / deviation:.3f}']


class _Frequencies:
    """The gradient to the flows through each frequency of the encoded fraction."""

    def __init__(self) -> None:
        self._sizes: list[Tensor] = []
        self._means: list[Tensor] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Encodes fractions by operators that autograd sees, and listens to their gradients."""

        def encoded(target: Tensor, flow: Tensor, dtype: torch.dtype, backend: str = 'auto') -> Tensor:
            place = grid.places(flow.float())
            x, y = ((place - place.floor()) / (2 + sinusoids.EPSILON) * (2 * torch.pi)).unbind(1)
            encoding = sinusoids.encode(y, x, target.shape[3])
            if encoding.requires_grad:
                encoding.register_hook(lambda gradient: self._take(gradient, encoding.detach()))
            return (target[:, None] + encoding.unflatten(0, (len(target), -1))).flatten(0, 1).to(dtype)

        with mock.patch('gsm_plugin.layers.implicit_warp.fraction_encoding', encoded):
            yield

    def _take(self, gradient: Tensor, encoding: Tensor) -> None:
        pairs = encoding.unflatten(-1, (-1, 2))
        slope = torch.stack((pairs[..., 1], -pairs[..., 0]), -1).flatten(-2).unflatten(-1, (2, -1))
        slope = slope / sinusoids.wavelengths(gradient.shape[-1], gradient.device)
        parts = (gradient.unflatten(-1, (2, -1)) * slope).unflatten(-1, (-1, 2)).sum(-1) * torch.pi
        self._sizes.append(parts.square().flatten(0, -2).mean(0).sqrt())
        self._means.append(parts.flatten(0, -3).sum(0).mean(0))

    def rows(self) -> list[list[str]]:
        """Turns a pixel, share of the gradient to the flows, mean over deviation, of each frequency."""
        if not self._sizes:
            return []
        size, means = torch.stack(self._sizes).mean(0), torch.stack(self._means)
        ratio = means.mean(0).abs() / means.std(0)
        turns = 0.5 / sinusoids.wavelengths(4 * len(size), size.device)[::2]
        return [
            [f'{t:.2f}', f'{s / size.sum():.1%}', f'{r:.3f}']
            for t, s, r in zip(turns.tolist(), size.tolist(), ratio.tolist(), strict=True)
        ]
