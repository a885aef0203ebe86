"""What is studied: a trained network, built anew with other settings when needed, and batches to train it on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset
from gsm_plugin.errors import UserError
from gsm_plugin.studies.networks import build
from gsm_plugin.weights.loading import load_weights

# Keys of `network_g` that a study decides on itself.
_NOT_TAKEN = ('type', 'spynet_path', 'cuda_graphs')


@dataclass(frozen=True)
class Subject:
    """A trained network.

    Attributes:
        options: Arguments of `GSMamba`.
        weights: Its state dict.
        device: Where it runs.
    """

    options: dict
    weights: dict[str, Tensor]
    device: torch.device

    def network(self, **changes: Any) -> GSMamba:
        """Builds the network, with other arguments where `changes` has them."""
        return build(self.options | changes, self.weights, self.device)


def load_subject(options: dict, weights: Path, device: torch.device) -> Subject:
    """Reads the weights of a network.

    Args:
        options: `network_g` of its option file.
        weights: Averaged weights are taken where there are some.
        device: Where it runs.

    Raises:
        UserError: It is no GSM, or the weights are not its own.
    """
    if options.get('type') != 'GSMamba':
        raise UserError(
            f'network_g:type is {options.get("type")!r}; flows are studied of a GSMamba, so give its option file.'
        )
    own = {key: value for key, value in options.items() if key not in _NOT_TAKEN}
    network = GSMamba(**own)
    load_weights(network, weights, key='params_ema')
    return Subject(own, network.state_dict(), device)


def training_batches(
    root: Path, number: int, size: int, frames: int, workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields `number` batches (lq, gt) of `size` random crops of 48 LQ pixels, as a training would draw them."""
    options = {
        'name': 'study',
        'phase': 'train',
        'scale': 4,
        'dataroot_gt': f'{root}/GT',
        'dataroot_lq': f'{root}/LQ',
        'num_frame': frames,
        'gt_size': 192,
        'use_hflip': True,
        'use_rot': True,
    }
    dataset = VideoFoldersDataset(options)
    order = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=number * size)
    for batch in torch.utils.data.DataLoader(dataset, size, sampler=order, num_workers=workers):
        yield batch['lq'].to(device), batch['gt'].to(device)


def unit_shift(flows_backward: Tensor, axis: int) -> Tensor:
    """A shift of one pixel along an axis (0: x, 1: y) for both directions of flows, (2, b, t - 1, 2, h, w)."""
    shift = torch.zeros_like(flows_backward)
    shift[:, :, axis] = 1
    return torch.stack((shift, -shift))
