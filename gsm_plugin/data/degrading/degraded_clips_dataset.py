"""Training clips whose LQ is made from GT as they are read."""

from typing import ClassVar

import cv2
import numpy as np
import torch
from basicsr.utils import get_root_logger

from gsm_plugin.data.clip_index import ClipIndex
from gsm_plugin.data.clip_names import read_clip_facts
from gsm_plugin.data.degrading import low_resolution
from gsm_plugin.data.frame_sources import FolderSource, FrameSource, LmdbSource
from gsm_plugin.data.listed_clips import check_listed_counts, check_listed_sizes
from gsm_plugin.data.paired_clips import size_text
from gsm_plugin.data.set_options import read_crops
from gsm_plugin.data.training_crops import (
    Window,
    draw_window,
    flip_and_turn,
    item_generator,
    one_thread_in_workers,
    to_tensor,
)
from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.set_sections import DegradedClips, scale_of


class DegradedClipsDataset(torch.utils.data.Dataset):
    """Clips in folders or in LMDBs of BasicSR's layout, of which only GT is there.

    Items are `num_frame` frames from one clip, every frame being a possible start: `lq` (t, c, h, w) and `gt`
    (t, c, h * scale, w * scale) as float32 RGB in [0, 1], and `key`. All is drawn from Python's generator, which the
    training seeds for each sample. GT of more than 8 bits is rounded to 8.

    Args:
        opt: The dataset's options, declared in `OPTIONS`.

    Raises:
        UserError: A path does not exist or has no images, an option is missing or wrong, or a clip is too short or too
            small.
    """

    OPTIONS: ClassVar[dict] = {(): DegradedClips}

    def __init__(self, opt: dict):
        self.opt = opt
        title = f'Dataset {opt.get("name", "without a name")}'
        if opt.get('phase') != 'train':
            raise UserError(
                f'{title}: DegradedClipsDataset is for training only; make LQ of {opt.get("phase")!r} by basicsr data '
                f'degrade, and read it with VideoFoldersDataset.'
            )
        own = read_crops(DegradedClips, opt, title)
        self._scale, self._own = scale_of(opt, title), own
        self._low_resolution = low_resolution.low_resolution(opt, title)
        self._source = self._open(title)
        lengths = {clip: len(frames) for clip, frames in self._source.frames.items()}
        self._index = ClipIndex(lengths, own.num_frame, own.interval_list, own.random_reverse, title)
        self._check_sizes(title)
        get_root_logger().info(f'{title}: {len(lengths)} clips, {len(self._index)} frames.')

    def _open(self, title: str) -> FrameSource:
        own = self._own
        facts = read_clip_facts(own.meta_info_file) if own.meta_info_file else {}
        opened = {'disk': FolderSource, 'lmdb': LmdbSource}[own.io_backend.type]
        source = opened(own.dataroot_gt, list(facts) or None)
        check_listed_counts(title, facts, source, 'dataroot_gt')
        check_listed_sizes(own.meta_info_file or '', facts, source)
        return source

    def _check_sizes(self, title: str) -> None:
        for clip in self._source.frames:
            height, width = (side // self._own.gt_shrink for side in self._source.header(clip, 0).size)
            if min(height, width) < self._own.gt_size:
                raise UserError(
                    f'{title}: GT of clip {clip} has {height}x{width} pixels, less than gt_size {self._own.gt_size}; '
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
        lq, gt = (
            window.crop(part[-self._own.num_frame :], scale) for part, scale in ((recipe(gt), 1), (gt, self._scale))
        )
        lq, gt = flip_and_turn([lq, gt], self._own.use_hflip, self._own.use_rot, rng)
        return {'lq': to_tensor(lq), 'gt': to_tensor(gt), 'key': f'{clip}/{self._source.frames[clip][min(frames)]}'}

    def _read(self, frames: list[int], clip: str, rng: np.random.Generator) -> tuple[np.ndarray, Window]:
        """Reads a crop with what is computed around it: (t, h, w, 3), uint8, BGR; and where it is."""
        first = self._frame(clip, frames[0])
        size = first.shape[0] // self._scale, first.shape[1] // self._scale
        window = draw_window(size, self._own.gt_size // self._scale, self._low_resolution.margin, rng)
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
        if self._own.gt_shrink == 1:
            return image
        size = [length // self._own.gt_shrink for length in image.shape[1::-1]]
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
