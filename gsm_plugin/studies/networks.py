"""Networks that studies build again and again, with the same weights and other settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.errors import UserError
from gsm_plugin.weights.reader import read_weights

_OPS = ('scan', 'warp', 'attention')
NAIVE = {f'{op}_backend': 'naive' for op in _OPS}
TORCH = {f'{op}_backend': 'torch' for op in _OPS}


def build(options: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device) -> GSMamba:
    """A GSM of these arguments with these weights."""
    network = GSMamba(**options)
    network.load_state_dict(weights)
    return network.to(device)


def read_trained(path: Path) -> dict[str, Tensor]:
    """Weights of a training, the averaged ones where there are some.

    Raises:
        UserError: There is no such file, or no weights are in it.
    """
    if not path.is_file():
        raise UserError(f'--weights {path} is no file; `make demo` trains a network and says where it is.')
    return read_weights(path, 'params_ema').tensors
