"""What is compared: a network with random or trained weights, a small clip, and what output pixels weigh."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.compat.image_files import read_image, to_8_bit
from gsm_plugin.data.clip_names import is_image_name
from gsm_plugin.errors import UserError
from gsm_plugin.weights.reader import read_weights

NAIVE = {f'{op}_backend': 'naive' for op in ('scan', 'warp', 'attention')}
DEMO = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 16, 'num_heads': 2}
_RANDOM = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'num_heads': 4}
_FRAMES, _SCALE = 3, 4
_CHARBONNIER = 1e-12


class Case(NamedTuple):
    """A network, of options and a state dict, a clip, and the gradient of what is differentiated to the output."""

    title: str
    options: dict
    weights: dict[str, Tensor]
    clip: Tensor
    weighting: Tensor

    def network(self, **options: object) -> GSMamba:
        """Builds the network for training, where the clip is."""
        return build(self.options | options, self.weights, self.clip.device).train()


def random_case(channels: int, size: tuple[int, int], device: torch.device) -> Case:
    """Random weights, and a random weighting of the output.

    Args:
        channels: Of the network.
        size: Rows and columns of the clip.
        device: Where all of it is.
    """
    options: dict[str, Any] = {**_RANDOM, 'embed_dims': channels}
    torch.manual_seed(0)
    weights = GSMamba(**options).state_dict()
    clip = torch.rand(1, _FRAMES, 3, *size, device=device)
    shape = 1, _FRAMES, 3, *(_SCALE * side for side in size)
    weighting = torch.randn(shape, dtype=torch.float64, device=device)
    return Case('Random weights, a random weighting', options, weights, clip, weighting)


def trained_case(options: dict, weights: dict[str, Tensor], clip: 'RealClip', size: tuple[int, int]) -> Case:
    """Trained weights, and the loss of the recipes on a piece of a clip.

    Args:
        options: Arguments of the network.
        weights: Its state dict.
        clip: The clip, of whose first frames the upper left corner is taken.
        size: Rows and columns of that.
    """
    height, width = size
    lq = clip.lq[:, :_FRAMES, :, :height, :width]
    gt = clip.gt[:, :_FRAMES, :, : _SCALE * height, : _SCALE * width]
    with torch.no_grad():
        error = build(options, weights, lq.device).double()(lq.double()) - gt
    # the derivative of a Charbonnier loss; that of the output itself would jump where rounding changes a sign
    weighting = error / (error.square() + _CHARBONNIER).sqrt()
    return Case(f'Trained weights, the loss of the recipes on a piece of {clip.name}', options, weights, lq, weighting)


def build(options: dict, weights: dict[str, Tensor], device: torch.device) -> GSMamba:
    """A network with weights."""
    network = GSMamba(**options)
    network.load_state_dict(weights)
    return network.to(device)


class RealClip(NamedTuple):
    """A clip in [0, 1]: lq (1, t, 3, h, w), gt (1, t, 3, 4 h, 4 w)."""

    name: str
    lq: Tensor
    gt: Tensor


def clip_names(root: Path) -> list[str]:
    """Names of the clips below `root/LQ`.

    Raises:
        UserError: There is no such folder.
    """
    if not (root / 'LQ').is_dir():
        raise UserError(f'--clips {root} has no folder LQ; `make demo` makes datasets/demo/test.')
    return sorted(folder.name for folder in (root / 'LQ').iterdir())


def read_clip(root: Path, name: str, device: torch.device) -> RealClip:
    """Reads a clip of `root/LQ` and `root/GT`."""

    def read(folder: Path) -> Tensor:
        paths = [path for path in sorted(folder.iterdir()) if is_image_name(path.name)]
        images = [to_8_bit(read_image(path))[..., ::-1] for path in paths]
        return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())[None].float().to(device) / 255

    return RealClip(name, read(root / 'LQ' / name), read(root / 'GT' / name))


def read_trained(path: Path) -> dict[str, Tensor]:
    """Weights of a training, the averaged ones where there are some.

    Raises:
        UserError: There is no such file.
    """
    if not path.is_file():
        raise UserError(f'--weights {path} is no file; `make demo` trains a network and says where it is.')
    return read_weights(path, 'params_ema').tensors
