"""A picture of how far a training is, at each validation: one frame of a set, beside its input and its ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from basicsr.utils import imwrite, tensor2img
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.validation import ValidationSet, open_clip

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_FRAMES = 3


def show_sample(
    model: GSMModel, dataset: ValidationSet, iteration: int, folder: Path, tb_logger: SummaryWriter | None
) -> Path:
    """Restores a few frames of a set's first clip and writes the middle one, between bicubic and ground truth.

    Args:
        model: The model.
        dataset: The validation set.
        iteration: The iteration, for the name.
        folder: Where the pictures of validations go.
        tb_logger: TensorBoard's writer, which gets the picture too, or None.

    Returns:
        The file.
    """
    name = dataset.opt['name']
    clip = open_clip(dataset, 0, center_frame_only=bool(model.opt['val'].get('center_frame_only')))
    shown = clip.frames[len(clip.frames) // 2]
    first = max(0, min(shown - _FRAMES // 2, len(clip.lq) - _FRAMES))
    # The validation has said it where values are no numbers; here they are black.
    output = model.restore(clip.lq[None, first : first + _FRAMES])[0, shown - first].nan_to_num(0.0, 1.0, 0.0)
    parts = [_enlarged(clip.lq[shown], output), output]
    if clip.read_gt is not None:
        parts.append(clip.read_gt(shown))
    picture = torch.cat([part.cpu() for part in parts], 2).clamp(0, 1)
    path = folder / name / 'samples' / f'{iteration}.png'
    imwrite(tensor2img([picture]), str(path))
    if tb_logger:
        tb_logger.add_image(f'samples/{name}', picture, iteration)
    return path


def _enlarged(lq: Tensor, output: Tensor) -> Tensor:
    return F.interpolate(lq[None], output.shape[-2:], mode='bicubic', align_corners=False)[0]
