"""Training clips made from photographs, with motion that is known to be smooth and GT that no camera compressed."""

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch
from basicsr.utils import get_root_logger

from gsm_plugin.compat.image_files import read_file, read_image, to_8_bit
from gsm_plugin.data.clip_names import is_image_name, natural_key
from gsm_plugin.data.degrading import low_resolution
from gsm_plugin.data.set_options import read_crops
from gsm_plugin.data.synthetic.layers import Layer, draw_shape, with_alpha
from gsm_plugin.data.synthetic.motion import MotionRanges, draw_motion, rest
from gsm_plugin.data.synthetic.rendering import render
from gsm_plugin.data.training_crops import (
    cut_border,
    flip_and_turn,
    item_generator,
    one_thread_in_workers,
    to_tensor,
)
from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.set_sections import PhotoClips, scale_of

# Side of the part of a photograph that a clip moves about in, relative to the canvas; beyond, it is mirrored.
_ROOM = 1.8


class PhotoClipsDataset(torch.utils.data.Dataset):
    """Clips of a photograph in smooth random motion, before which objects move that cover and uncover it.

    Items are `lq` (t, c, h, w) and `gt` (t, c, h * scale, w * scale) as float32 RGB in [0, 1], and `key`. All is drawn
    from Python's generator, which the training seeds for each sample.

    Args:
        opt: The dataset's options, declared in `OPTIONS`.

    Raises:
        UserError: An option is missing or wrong, or a folder does not exist or has no images.
    """

    OPTIONS: ClassVar[dict] = {(): PhotoClips}

    def __init__(self, opt: dict):
        self.opt = opt
        title = f'Dataset {opt.get("name", "without a name")}'
        if opt.get('phase') != 'train':
            raise UserError(f'{title}: PhotoClipsDataset is for training only; take it out of {opt.get("phase")!r}.')
        self._own = own = read_crops(PhotoClips, opt, title)
        self._scale = scale_of(opt, title)
        self._ranges = MotionRanges(own.shift, own.turn, own.zoom, own.shear, own.acceleration, own.shake)
        self._low_resolution = low_resolution.low_resolution(opt, title)
        self._stills = _find_images(own.dataroot_stills, 'dataroot_stills')
        self._cutouts = _find_images(own.dataroot_cutouts, 'dataroot_cutouts') if own.dataroot_cutouts else []
        get_root_logger().info(f'{title}: {len(self._stills)} photographs, {len(self._cutouts)} cut-outs.')

    def __len__(self) -> int:
        return len(self._stills)

    def __getitem__(self, index: int) -> dict:
        one_thread_in_workers()
        rng = item_generator()
        own, recipe = self._own, self._low_resolution.draw(rng)
        border = self._low_resolution.margin
        side = self._own.gt_size + 2 * border * self._scale
        gt = self._draw_clip(index, side, self._own.num_frame + recipe.lead_in, rng)
        lq, gt = flip_and_turn(
            [cut_border(recipe(gt), border), cut_border(gt, border * self._scale)], own.use_hflip, own.use_rot, rng
        )
        return {
            'lq': to_tensor(lq[-self._own.num_frame :]),
            'gt': to_tensor(gt[-self._own.num_frame :]),
            'key': self._stills[index].stem,
        }

    def _draw_clip(self, index: int, side: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Renders an item with what is computed around it and before it: (t, side, side, 3), uint8, BGR."""
        layers = [self._background(index, side, count, rng)]
        for _ in range(int(rng.integers(int(self._own.objects[0]), int(self._own.objects[1]) + 1))):
            layers.append(self._object(side, count, rng))
        shutter = rng.uniform(*self._own.shutter) if rng.uniform() < self._own.blur_prob else 0.0
        return render(layers, [number - (count - 1) / 2 for number in range(count)], side, shutter)

    def _background(self, index: int, side: int, count: int, rng: np.random.Generator) -> Layer:
        picture = self._photograph(index, round(_ROOM * side), rng)
        middle = side / 2
        anchor = _somewhere(picture.shape[1], side, rng), _somewhere(picture.shape[0], side, rng)
        if rng.uniform() < self._own.still_prob:
            return Layer(picture, rest(anchor, (middle, middle)))
        return Layer(picture, draw_motion(self._ranges, count, anchor, (middle, middle), rng))

    def _object(self, side: int, count: int, rng: np.random.Generator) -> Layer:
        length = max(8, round(rng.uniform(*self._own.object_size) * side))
        if self._cutouts and rng.uniform() < self._own.cutout_prob:
            picture = self._cutout(length, rng)
        else:
            texture = self._photograph(int(rng.integers(len(self._stills))), length, rng)
            picture = with_alpha(texture[:length, :length], draw_shape(length, rng))
        anchor = picture.shape[1] / 2, picture.shape[0] / 2
        x, y = rng.uniform(0, side, 2)
        return Layer(picture, draw_motion(self._ranges, count, anchor, (x, y), rng))

    def _photograph(self, index: int, side: int, rng: np.random.Generator) -> np.ndarray:
        """A window of a photograph, shrunk: (h, w, 3), uint8, BGR, of `side` pixels or more."""
        image = to_8_bit(read_image(self._stills[index]))
        factor = min(1.0, max(rng.uniform(*self._own.shrink), side / min(image.shape[:2])))
        window = [min(length, int(side / factor) + 1) for length in image.shape[:2]]
        top, left = (int(rng.integers(length - part + 1)) for length, part in zip(image.shape, window, strict=False))
        image = image[top : top + window[0], left : left + window[1]]
        size = [max(side, round(length * factor)) for length in image.shape[1::-1]]
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _cutout(self, length: int, rng: np.random.Generator) -> np.ndarray:
        path = self._cutouts[int(rng.integers(len(self._cutouts)))]
        image = cv2.imdecode(np.frombuffer(read_file(path), np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
            raise UserError(f'{path} is no image of 8 bit with alpha; take it out of dataroot_cutouts.')
        factor = min(1.0, length / max(image.shape[:2]))
        size = [max(4, round(side * factor)) for side in image.shape[1::-1]]
        # Multiplied first: what lies beside the object has no part in its edge.
        return cv2.resize(with_alpha(image[..., :3], image[..., 3]), size, interpolation=cv2.INTER_AREA)


def _somewhere(length: int, side: int, rng: np.random.Generator) -> float:
    """A middle for a window of so many pixels that lies inside."""
    return rng.uniform(side / 2, max(length - side / 2, side / 2))


def _find_images(root: str, key: str) -> list[Path]:
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UserError(f'The folder {folder} does not exist; correct {key}.')
    paths = sorted(
        (path for path in folder.rglob('*') if is_image_name(path.name)), key=lambda path: natural_key(str(path))
    )
    if not paths:
        raise UserError(f'{folder} has no images; correct {key}.')
    return paths
