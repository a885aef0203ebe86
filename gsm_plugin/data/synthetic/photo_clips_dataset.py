"""Training clips made from photographs, with motion that is known to be smooth and GT that no camera compressed."""

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import torch
from basicsr.utils import get_root_logger

from gsm_plugin.compat import UserError
from gsm_plugin.compat.image_files import read_file, read_image, to_8_bit
from gsm_plugin.data.checked_options import CheckedOptions
from gsm_plugin.data.clip_names import is_image_name, natural_key
from gsm_plugin.data.degrading import low_resolution
from gsm_plugin.data.synthetic.layers import Layer, draw_shape, with_alpha
from gsm_plugin.data.synthetic.motion import MotionRanges, draw_motion, rest
from gsm_plugin.data.synthetic.rendering import render
from gsm_plugin.data.training_crops import cut_border, flip_and_turn, item_generator, one_thread_in_workers, to_tensor

# Side of the part of a photograph that a clip moves about in, relative to the canvas; beyond, it is mirrored.
_ROOM = 1.8


class PhotoClipsDataset(torch.utils.data.Dataset):
    """Clips of a photograph in smooth random motion, before which objects move that cover and uncover it.

    Items are `lq` (t, c, h, w) and `gt` (t, c, h * scale, w * scale) as float32 RGB in [0, 1], and `key`. All is drawn
    from Python's generator, which the training seeds for each sample.

    Args:
        opt: The dataset's options, described in `OPTION_KEYS`.

    Raises:
        UserError: An option is missing or wrong, or a folder does not exist or has no images.
    """

    OPTION_KEYS: ClassVar[dict[str, str]] = {
        'name': 'Name of the dataset, used in logs.',
        'type': 'PhotoClipsDataset.',
        'phase': 'train; BasicSR sets it from the key of the dataset.',
        'scale': 'Enlargement from LQ to GT; BasicSR sets it from the top of the option file.',
        'dataroot_stills': 'Folder below which all images are photographs, best of one to two megapixels.',
        'dataroot_cutouts': 'Optional folder below which all PNGs are objects with alpha.',
        'num_frame': 'Frames of an item.',
        'gt_size': 'Side of the square GT in pixels, a multiple of scale.',
        'use_hflip': 'Flip horizontally with probability one half, default false.',
        'use_rot': 'Flip vertically and transpose, each with probability one half, default false.',
        'shrink': 'Range of the factor by which photographs are shrunk first, by area, default [0.5, 1.0].',
        'still_prob': 'Probability that the photograph behind does not move, default 0.1.',
        'shift': 'Range of the speed of each layer, GT pixels a frame, default [0, 10].',
        'turn': 'The same in degrees a frame, default [0, 1].',
        'zoom': 'The same for the relative change of size a frame, default [0, 0.01].',
        'shear': 'The same for the change of the shear factor a frame, default [0, 0.003].',
        'acceleration': 'By which part of itself a speed changes until either end of the clip, at most; default 1.',
        'shake': 'Greatest amplitude of an oscillation, GT pixels, default 1.5.',
        'objects': 'Range of the number of objects before the photograph, default [0, 3].',
        'cutout_prob': 'Probability that an object is a cut-out and no shape filled from a photograph, default 0.5.',
        'object_size': 'Range of the side of an object relative to the crop, default [0.15, 0.8].',
        'blur_prob': 'Probability of blur by motion, default 0.25.',
        'shutter': 'Range of the exposure, in frames, where there is blur; default [0.2, 0.9].',
        **low_resolution.OPTION_KEYS,
    }

    def __init__(self, opt: dict):
        self.opt = opt
        title = f'Dataset {opt.get("name", "without a name")}'
        if opt.get('phase') != 'train':
            raise UserError(f'{title}: PhotoClipsDataset is for training only; take it out of {opt.get("phase")!r}.')
        self._read_options(CheckedOptions(opt, title, self.OPTION_KEYS))
        self._low_resolution = low_resolution.low_resolution(opt, title)
        self._stills = _find_images(opt['dataroot_stills'], 'dataroot_stills')
        cutouts = opt.get('dataroot_cutouts')
        self._cutouts = _find_images(cutouts, 'dataroot_cutouts') if cutouts else []
        get_root_logger().info(f'{title}: {len(self._stills)} photographs, {len(self._cutouts)} cut-outs.')

    def _read_options(self, checked: CheckedOptions) -> None:
        self._scale, self._frames = checked.whole('scale'), checked.whole('num_frame')
        self._gt_size = checked.whole('gt_size')
        if self._gt_size % self._scale:
            raise checked.wrong('gt_size', f'a multiple of scale {self._scale}')
        checked.text('dataroot_stills')
        self._flips = checked.flag('use_hflip', False), checked.flag('use_rot', False)
        self._shrink = checked.span('shrink', (0.5, 1.0), 0.05, 1)
        self._ranges = MotionRanges(
            checked.span('shift', (0, 10), 0, 100),
            checked.span('turn', (0, 1), 0, 45),
            checked.span('zoom', (0, 0.01), 0, 0.2),
            checked.span('shear', (0, 0.003), 0, 0.1),
            checked.number('acceleration', 1, 0, 10),
            checked.number('shake', 1.5, 0, 20),
        )
        self._still_prob = checked.number('still_prob', 0.1, 0, 1)
        self._objects = tuple(map(int, checked.span('objects', (0, 3), 0, 20)))
        self._cutout_prob = checked.number('cutout_prob', 0.5, 0, 1)
        self._object_size = checked.span('object_size', (0.15, 0.8), 0.02, 2)
        self._blur_prob = checked.number('blur_prob', 0.25, 0, 1)
        self._shutter = checked.span('shutter', (0.2, 0.9), 0, 1)

    def __len__(self) -> int:
        return len(self._stills)

    def __getitem__(self, index: int) -> dict:
        one_thread_in_workers()
        rng = item_generator()
        recipe = self._low_resolution.draw(rng)
        border = self._low_resolution.margin
        side = self._gt_size + 2 * border * self._scale
        gt = self._draw_clip(index, side, self._frames + recipe.lead_in, rng)
        lq, gt = flip_and_turn(
            [cut_border(recipe(gt), border), cut_border(gt, border * self._scale)], *self._flips, rng
        )
        return {
            'lq': to_tensor(lq[-self._frames :]),
            'gt': to_tensor(gt[-self._frames :]),
            'key': self._stills[index].stem,
        }

    def _draw_clip(self, index: int, side: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Renders an item with what is computed around it and before it: (t, side, side, 3), uint8, BGR."""
        layers = [self._background(index, side, count, rng)]
        for _ in range(int(rng.integers(self._objects[0], self._objects[1] + 1))):
            layers.append(self._object(side, count, rng))
        shutter = rng.uniform(*self._shutter) if rng.uniform() < self._blur_prob else 0.0
        return render(layers, [number - (count - 1) / 2 for number in range(count)], side, shutter)

    def _background(self, index: int, side: int, count: int, rng: np.random.Generator) -> Layer:
        picture = self._photograph(index, round(_ROOM * side), rng)
        middle = side / 2
        anchor = _somewhere(picture.shape[1], side, rng), _somewhere(picture.shape[0], side, rng)
        if rng.uniform() < self._still_prob:
            return Layer(picture, rest(anchor, (middle, middle)))
        return Layer(picture, draw_motion(self._ranges, count, anchor, (middle, middle), rng))

    def _object(self, side: int, count: int, rng: np.random.Generator) -> Layer:
        length = max(8, round(rng.uniform(*self._object_size) * side))
        if self._cutouts and rng.uniform() < self._cutout_prob:
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
        factor = min(1.0, max(rng.uniform(*self._shrink), side / min(image.shape[:2])))
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
