"""What is studied: a trained network, built anew with other settings when needed, and clips with ground truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.compat.image_files import read_image, to_8_bit
from gsm_plugin.data.clip_names import is_image_name
from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset
from gsm_plugin.errors import UserError
from gsm_plugin.weights.reader import read_weights

# Keys of `network_g` that a study decides on itself.
_NOT_TAKEN = ('type', 'spynet_path', 'cuda_graphs')
_CHARBONNIER = 1e-12


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
        net = GSMamba(**self.options, **changes)
        net.load_state_dict(self.weights)
        return net.to(self.device)


@dataclass(frozen=True)
class StudyClip:
    """A clip in [0, 1]: lq (1, t, 3, h, w) and gt (1, t, 3, s h, s w)."""

    name: str
    lq: Tensor
    gt: Tensor

    def crop(self, side: int, frames: int) -> 'StudyClip':
        """The middle of the first frames, `side` LQ pixels high and wide or as much as there is."""
        scale = self.gt.shape[-1] // self.lq.shape[-1]
        top, left = (max(0, (size - side) // 2) for size in self.lq.shape[-2:])
        lq = self.lq[:, :frames, :, top : top + side, left : left + side]
        gt = self.gt[:, :frames, :, scale * top : scale * (top + side), scale * left : scale * (left + side)]
        return StudyClip(self.name, lq, gt)


def load_subject(options: dict, weights: Path, device: torch.device) -> Subject:
    """Reads the weights of a network.

    Args:
        options: `network_g` of its option file.
        weights: Averaged weights are taken where there are some.
        device: Where it runs.
    """
    own = {key: value for key, value in options.items() if key not in _NOT_TAKEN}
    return Subject(own, read_weights(weights, 'params_ema').tensors, device)


def read_clips(root: Path, frames: int, device: torch.device) -> list[StudyClip]:
    """Reads the first frames of each clip below `root/LQ` and `root/GT`.

    Raises:
        UserError: There is none, or one has no ground truth.
    """
    folders = sorted(folder for folder in (root / 'LQ').glob('*') if folder.is_dir())
    if not folders:
        raise UserError(f'{root}/LQ has no folder of frames; give a folder with LQ and GT, each with a folder a clip.')

    def read(folder: Path) -> Tensor:
        names = sorted(path for path in folder.glob('*') if is_image_name(path.name))[:frames]
        if not names:
            raise UserError(f'{folder} has no frames; give each clip a folder below LQ and one below GT.')
        images = [to_8_bit(read_image(path))[..., ::-1] for path in names]
        return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())[None].float().to(device) / 255

    return [StudyClip(folder.name, read(folder), read(root / 'GT' / folder.name)) for folder in folders]


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


def charbonnier(output: Tensor, gt: Tensor) -> Tensor:
    """The loss of the recipes."""
    return ((output - gt).square() + _CHARBONNIER).sqrt().mean()


def psnr(output: Tensor, gt: Tensor) -> float:
    """Mean PSNR over the frames, as 8-bit images, dB."""
    rounded = (output.clamp(0, 1) * 255).round() / 255
    return (-10 * torch.log10((rounded - gt).square().mean((0, 2, 3, 4)))).mean().item()


def unit_shift(flows_backward: Tensor, axis: int) -> Tensor:
    """A shift of one pixel along an axis (0: x, 1: y) for both directions of flows, (2, b, t - 1, 2, h, w)."""
    shift = torch.zeros_like(flows_backward)
    shift[:, :, axis] = 1
    return torch.stack((shift, -shift))
