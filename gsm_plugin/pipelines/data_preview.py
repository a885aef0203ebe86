"""A page of pairs out of a training set, as the training would draw them."""

import base64
import html
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gsm_plugin.compat.bad_samples import Samples
from gsm_plugin.errors import UserError
from gsm_plugin.files import write_whole
from gsm_plugin.options.reading import read_options
from gsm_plugin.training.data_order import SeededSamples

_FRAME_MS = 150
_SPACE = 4
_STYLE = (
    'body{font:15px sans-serif;margin:2em;background:#222;color:#ddd}figure{display:inline-block;margin:0 1em 1em 0}'
    'img{display:block;image-rendering:pixelated}'
)


def write_preview(dataset: Samples, title: str, out: Path, items: int, seed: int) -> None:
    """Writes a page that needs no other file: LQ, its pixels enlarged, beside GT, both moving.

    Args:
        dataset: The training set.
        title: Heading.
        out: The file to write.
        items: How many pairs.
        seed: Of what is drawn: the first items of a training with this `manual_seed` would be drawn alike.
    """
    order = torch.randint(len(dataset), (items,), generator=torch.Generator().manual_seed(seed)).tolist()
    samples = SeededSamples(dataset)
    figures = []
    for place, index in enumerate(order):
        item = samples[index, seed, 0, 0, place]
        picture = base64.b64encode(_moving_pair(item['lq'], item['gt'])).decode()
        caption = html.escape(
            f'{item["key"]}: LQ {_size(item["lq"])}, GT {_size(item["gt"])}, {len(item["gt"])} frames'
        )
        figures.append(
            f'<figure><img alt="LQ and GT" src="data:image/png;base64,{picture}">'
            f'<figcaption>{caption}</figcaption></figure>'
        )
    page = (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<style>{_STYLE}</style><h1>{html.escape(title)}</h1>\n' + '\n'.join(figures) + '</html>\n'
    )
    write_whole(out, page.encode())


def degradation_of(path: Path) -> dict:
    """The section `degradation` of the training set of an option file.

    Raises:
        UserError: There is none, or it is not of kind real.
    """
    train = (read_options(str(path)).get('datasets') or {}).get('train') or {}
    section = train.get('degradation')
    if not isinstance(section, dict) or section.get('kind') != 'real':
        raise UserError(
            f'{path} has no datasets:train:degradation of kind: real; name another file, or leave -opt out.'
        )
    return section


def _moving_pair(lq: Tensor, gt: Tensor) -> bytes:
    """An animated PNG of clips (t, c, h, w) in [0, 1], LQ enlarged to the size of GT."""
    scale = gt.shape[-1] // lq.shape[-1]
    enlarged = lq.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    space = torch.ones(*gt.shape[:3], _SPACE)
    clip = torch.cat([enlarged, space, gt], -1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    frames = [Image.fromarray(np.ascontiguousarray(frame)) for frame in clip]
    buffer = io.BytesIO()
    frames[0].save(buffer, 'PNG', save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0)
    return buffer.getvalue()


def _size(clip: Tensor) -> str:
    return f'{clip.shape[-2]}x{clip.shape[-1]}'
