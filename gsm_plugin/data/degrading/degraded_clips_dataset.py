"""Training clips whose LQ is made from GT as they are read."""

from typing import ClassVar

import cv2
import numpy as np
import torch
from basicsr.utils import get_root_logger

from gsm_plugin.compat import UserError
from gsm_plugin.data.checked_options import CheckedOptions
from gsm_plugin.data.clip_index import ClipIndex
from gsm_plugin.data.clip_names import read_clip_facts
from gsm_plugin.data.degrading import low_resolution
from gsm_plugin.data.frame_sources import FolderSource, FrameSource, LmdbSource
from gsm_plugin.data.listed_clips import check_listed_counts, check_listed_sizes
from gsm_plugin.data.paired_clips import size_text
from gsm_plugin.data.training_crops import (
    Window,
    draw_window,
    flip_and_turn,
    item_generator,
    one_thread_in_workers,
    to_tensor,
)


class DegradedClipsDataset(torch.utils.data.Dataset):
    """Clips in folders or in LMDBs of BasicSR's layout, of which only GT is there.

    Items are `num_frame` frames from one clip, every frame being a possible start: `lq` (t, c, h, w) and `gt`
    (t, c, h * scale, w * scale) as float32 RGB in [0, 1], and `key`. All is drawn from Python's generator, which the
    training seeds for each sample. GT of more than 8 bits is rounded to 8.

    Args:
        opt: The dataset's options, described in `OPTION_KEYS`.

    Raises:
        UserError: A path does not exist or has no images, an option is missing or wrong, or a clip is too short or too
            small.
    """

    OPTION_KEYS: ClassVar[dict[str, str]] = {
        'name': 'Name of the dataset, used in logs.',
        'type': 'DegradedClipsDataset.',
        'phase': 'train; BasicSR sets it from the key of the dataset.',
        'scale': 'Enlargement from LQ to GT; BasicSR sets it from the top of the option file.',
        'dataroot_gt': 'Folder with one subfolder of frames per clip (or with the frames of one clip), or an LMDB.',
        'io_backend': 'type: disk (default) or lmdb.',
        'meta_info_file': 'Optional text file with the clips to take, one a line.',
        'gt_shrink': 'Whole factor by which frames are shrunk by area first, to lose their own noise; default 1.',
        'num_frame': 'Frames of an item.',
        'gt_size': 'Side of the square GT crop in pixels, a multiple of scale.',
        'interval_list': 'Distances between frames to draw from, default [1].',
        'random_reverse': 'Reverse the frames in time with probability one half, default false.',
        'use_hflip': 'Flip horizontally with probability one half, default false.',
        'use_rot': 'Flip vertically and transpose, each with probability one half, default false.',
        **low_resolution.OPTION_KEYS,
    }

    def __init__(self, opt: dict):
        self.opt = opt
        title = f'Dataset {opt.get("name", "without a name")}'
        if opt.get('phase') != 'train':
            raise UserError(
                f'{title}: DegradedClipsDataset is for training only; make LQ of {opt.get("phase")!r} by basicsr data '
                f'degrade, and read it with VideoFoldersDataset.'
            )
        checked = CheckedOptions(opt, title, self.OPTION_KEYS)
        self._read_options(checked)
        self._low_resolution = low_resolution.low_resolution(opt, title)
        self._source = self._open(checked)
        lengths = {clip: len(frames) for clip, frames in self._source.frames.items()}
        intervals = checked.wholes('interval_list', [1])
        self._index = ClipIndex(lengths, self._frames, intervals, checked.flag('random_reverse', False), title)
        self._check_sizes(title)
        get_root_logger().info(f'{title}: {len(lengths)} clips, {len(self._index)} frames.')

    def _read_options(self, checked: CheckedOptions) -> None:
        self._scale, self._frames = checked.whole('scale'), checked.whole('num_frame')
        self._gt_size, self._shrink = checked.whole('gt_size'), checked.whole('gt_shrink', 1)
        if self._gt_size % self._scale:
            raise checked.wrong('gt_size', f'a multiple of scale {self._scale}')
        self._flips = checked.flag('use_hflip', False), checked.flag('use_rot', False)

    def _open(self, checked: CheckedOptions) -> FrameSource:
        listed = self.opt.get('meta_info_file') or ''
        facts = read_clip_facts(listed) if listed else {}
        backend = CheckedOptions(self.opt.get('io_backend') or {}, f'{self.opt.get("name")}', {}, 'io_backend:')
        opened = {'disk': FolderSource, 'lmdb': LmdbSource}
        source = opened[backend.word('type', 'disk', tuple(opened))](checked.text('dataroot_gt'), list(facts) or None)
        check_listed_counts(f'Dataset {self.opt.get("name")}', facts, source, 'dataroot_gt')
        check_listed_sizes(listed, facts, source)
        return source

    def _check_sizes(self, title: str) -> None:
        for clip in self._source.frames:
            height, width = (side // self._shrink for side in self._source.header(clip, 0).size)
            if min(height, width) < self._gt_size:
                raise UserError(
                    f'{title}: GT of clip {clip} has {height}x{width} pixels, less than gt_size {self._gt_size}; '
                    f'lower gt_size, or leave the clip out by meta_info_file.'
                )

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> dict:
        one_thread_in_workers()
        clip, frames = self._index.draw(index)
        rng = item_generator()
        recipe = self._low_resolution.draw(rng)
        gt, window = self._read([*self._index.before(clip, frames, recipe.lead_in), *frames], clip, rng)
        lq, gt = (window.crop(part[-self._frames :], scale) for part, scale in ((recipe(gt), 1), (gt, self._scale)))
        lq, gt = flip_and_turn([lq, gt], *self._flips, rng)
        return {'lq': to_tensor(lq), 'gt': to_tensor(gt), 'key': f'{clip}/{self._source.frames[clip][min(frames)]}'}

    def _read(self, frames: list[int], clip: str, rng: np.random.Generator) -> tuple[np.ndarray, Window]:
        """Reads a crop with what is computed around it: (t, h, w, 3), uint8, BGR; and where it is."""
        first = self._frame(clip, frames[0])
        size = first.shape[0] // self._scale, first.shape[1] // self._scale
        window = draw_window(size, self._gt_size // self._scale, self._low_resolution.margin, rng)
        part = [window.with_surroundings(first, self._scale)]
        for frame in frames[1:]:
            image = self._frame(clip, frame)
            if image.shape != first.shape:
                raise UserError(
                    f'{self._source.where(clip, frame)} has {size_text(image.shape)} pixels but '
                    f'{self._source.where(clip, frames[0])} has {size_text(first.shape)}; make all frames of a clip '
                    f'the same size.'
                )
            part.append(window.with_surroundings(image, self._scale))
        return np.stack(part), window

    def _frame(self, clip: str, frame: int) -> np.ndarray:
        image = np.rint(self._source.read(clip, frame) * 255).astype(np.uint8)
        if self._shrink == 1:
            return image
        size = [length // self._shrink for length in image.shape[1::-1]]
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
