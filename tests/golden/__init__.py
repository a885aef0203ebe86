"""Numbers that the published implementation produces, and the recipe that makes its weights and inputs again."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).parent
CASES = json.loads((DATA / 'golden.json').read_text()) | json.loads((DATA / 'vrt.json').read_text())
TOLERANCE = 1e-7


def expected(key: str) -> Tensor:
    with np.load(DATA / ('vrt.npz' if key.startswith('vrt') else 'golden.npz')) as values:
        return torch.from_numpy(values[key])


def random_input(name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.from_numpy(_generator(name).uniform(low, high, shape))


def with_golden_weights(module: nn.Module, prefix: str = '') -> nn.Module:
    """Gives a module the weights that belong to the names of its parameters, in float64."""
    module.double()
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(_weight(prefix + name, tuple(parameter.shape))))
    return module


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    n = _generator(name).standard_normal(shape)
    last = name.rsplit('.', 1)[-1]
    if last in ('A_log', 'A_b_log'):
        return np.log(np.arange(1, shape[1] + 1)) + 0.1 * n
    if last in ('D', 'D_b', 'skip_scale', 'skip_scale2') or (last == 'weight' and len(shape) == 1):
        return 1 + 0.1 * n
    if last == 'relative_position_bias_table':
        return 0.2 * n
    if last == 'bias':
        return (0.04 if name.startswith('spynet') and shape == (2,) else 0.1) * n
    return n / np.sqrt(np.prod(shape[1:]))
