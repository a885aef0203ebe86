"""What of given weights a network of another scale, depth or window size can take, and what of it stays new."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.window_attention import Size3d, relative_position_index

_TABLE, _INDEX = 'relative_position_bias_table', 'relative_position_index'


@dataclass(frozen=True)
class Fit:
    """How weights fit a network.

    Attributes:
        weights: By name, what the network takes, `interpolated` included.
        interpolated: By name of a table of relative position biases, what was done to it.
        missing: Names that the weights do not have.
        resized: By name of a parameter of another size, the two sizes.
        unexpected: Names that the network does not have.
    """

    weights: Mapping[str, Tensor]
    interpolated: Mapping[str, str]
    missing: Sequence[str]
    resized: Mapping[str, str]
    unexpected: Sequence[str]

    @property
    def is_exact(self) -> bool:
        """Whether every name and size is the network's."""
        return not (self.interpolated or self.missing or self.resized or self.unexpected)

    def differences(self) -> list[tuple[str, list[str]]]:
        """What differs, as pairs of a word and the parameters that it is true of."""
        sizes = [f'{name}: {size}' for name, size in {**self.resized, **self.interpolated}.items()]
        every = [('missing', list(self.missing)), ('unexpected', list(self.unexpected)), ('of another size', sizes)]
        return [(kind, names) for kind, names in every if names]


def fit_weights(weights: Mapping[str, Tensor], network: nn.Module) -> Fit:
    """Compares weights with a network, which is not changed.

    Tables of relative position biases of another window size are stretched to the network's by trilinear
    interpolation: the corners of the old table become those of the new one, and the middle, offset zero, stays there.
    That needs the window size of the old ones, which the index that is saved beside a table tells; without one, the
    table counts as one of another size. The network keeps its own index then.

    Args:
        weights: By name.
        network: The network.
    """
    own = network.state_dict()
    indices = {name for name in own if name.endswith(_INDEX)}
    resized, interpolated = {}, {}
    for name in own:
        if name not in weights or weights[name].shape == own[name].shape:
            continue
        sizes = f'{_size(weights[name])} in the file, {_size(own[name])} in the network'
        old, new = _windows(name, weights, own)
        if old is not None and new is not None:
            weights = {**weights, name: stretch_bias_table(weights[name], old, new)}
            interpolated[name] = f'{sizes} (windows {_join(old)}, {_join(new)})'
        elif name not in indices:
            resized[name] = sizes
    taken = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
    return Fit(
        weights=taken,
        interpolated=interpolated,
        missing=[name for name in own if name not in weights],
        resized=resized,
        unexpected=[name for name in weights if name not in own],
    )


def stretch_bias_table(table: Tensor, old: Size3d, new: Size3d) -> Tensor:
    """Interpolates a table of relative position biases.

    Args:
        table: One row per offset, (product of 2 s - 1 over the sides s of the window, heads).
        old: Depth, height and width of its window.
        new: Those of the wanted one.

    Returns:
        (product of 2 s - 1 over the new sides, heads).
    """
    grid = table.float().t().reshape(1, table.shape[1], *(2 * side - 1 for side in old))
    grid = F.interpolate(grid, [2 * side - 1 for side in new], mode='trilinear', align_corners=True)
    return grid.flatten(2)[0].t().to(table.dtype)


def window_of(table: Tensor, index: Tensor) -> Size3d | None:
    """The window size of a table of relative position biases, from the index beside it; None where it has none."""
    if index.ndim != 2 or index.shape[0] != index.shape[1]:
        return None
    tokens = len(index)
    for depth in _divisors(tokens):
        for height in _divisors(tokens // depth):
            window = (depth, height, tokens // depth // height)
            rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
            if rows == len(table) and torch.equal(relative_position_index(window), index.long().cpu()):
                return window
    return None


def group_names(names: Iterable[str], every: Iterable[str]) -> list[str]:
    """Shortens a list of parameters: a module all of whose parameters are in it is named once, as `module.*`."""
    wanted, rest = set(names), set(every) - set(names)
    outside = {prefix for name in rest for prefix in _modules_around(name)}
    groups: dict[str, None] = {}
    for name in every:
        if name in wanted:
            whole = next((module for module in _modules_around(name) if module not in outside), None)
            groups[name if whole is None else f'{whole}.*'] = None
    return list(groups)


def _windows(
    name: str, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> tuple[Size3d | None, Size3d | None]:
    index = name.removesuffix(_TABLE) + _INDEX
    if not name.endswith(_TABLE) or index not in weights or index not in own:
        return None, None
    if weights[name].shape[1:] != own[name].shape[1:]:
        return None, None
    return window_of(weights[name], weights[index]), window_of(own[name], own[index])


def _modules_around(name: str) -> list[str]:
    """The modules that a parameter is in, the outermost first."""
    parts = name.split('.')
    return ['.'.join(parts[:count]) for count in range(1, len(parts))]


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _size(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'a number'


def _join(window: Size3d) -> str:
    return 'x'.join(map(str, window))
