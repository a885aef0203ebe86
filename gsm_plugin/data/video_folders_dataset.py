"""Video clips of any length and any names, for training, validation and tests, with or without ground truth."""

import bisect
import random
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from basicsr.data.transforms import augment, paired_random_crop
from basicsr.utils import get_root_logger, img2tensor
from torch import Tensor

from gsm_plugin.compat import UserError
from gsm_plugin.compat.image_files import alpha_note
from gsm_plugin.data.clip_names import ClipFacts, read_clip_facts
from gsm_plugin.data.frame_sources import FolderSource, FrameSource, LmdbSource
from gsm_plugin.data.listed_clips import check_listed_counts, check_listed_sizes
from gsm_plugin.data.paired_clips import PairedClips, size_text

_TRAIN_ONLY = ('gt_size', 'interval_list', 'random_reverse', 'use_hflip', 'use_rot')


class VideoFoldersDataset(torch.utils.data.Dataset):
    """Clips as folders of images or in LMDBs of BasicSR's layout, read lazily.

    LQ and GT are matched by clip and frame name (without the extension), never by position. Frames are in natural
    order of their names. Nothing is cached, so memory does not depend on the size of the set.

    Training items are `num_frame` frames from one clip, every frame being a possible start, as in BasicSR's
    `REDSRecurrentDataset`: `lq` (t, c, h, w) and `gt` (t, c, h * scale, w * scale) as float32 RGB in [0, 1], and `key`.
    Validation and test items are whole clips: `lq`, `folder` and `frame_names`; see `read_gt` for the ground truth.

    Args:
        opt: The dataset's options, described in `OPTION_KEYS`.

    Raises:
        UserError: A path does not exist or has no images, an option is missing or wrong, LQ and GT disagree, or a clip
            is too short or too small.
    """

    OPTION_KEYS: ClassVar[dict[str, str]] = {
        'name': 'Name of the dataset, used in logs and for the folder of saved images.',
        'type': 'VideoFoldersDataset.',
        'phase': 'train, val or test; BasicSR sets it from the key of the dataset.',
        'scale': 'Enlargement from LQ to GT; BasicSR sets it from the top of the option file.',
        'dataroot_lq': 'Folder with one subfolder of LQ frames per clip (or with the frames of one clip), or an LMDB.',
        'dataroot_gt': 'The same for GT; may be left out in val and test.',
        'io_backend': 'type: disk (default) or lmdb.',
        'meta_info_file': 'Optional text file with the clips to take, one "clip" or "clip frames (h,w,c)" a line.',
        'num_frame': 'Frames of a training item, at least 1; val and test take whole clips (-1 or left out).',
        'gt_size': 'Side of the square GT crop of a training item in pixels, a multiple of scale.',
        'interval_list': 'Training: distances between frames to draw from, default [1].',
        'random_reverse': 'Training: reverse the frames in time with probability one half, default false.',
        'use_hflip': 'Training: flip horizontally with probability one half, default false.',
        'use_rot': 'Training: flip vertically and transpose, each with probability one half, default false.',
    }

    def __init__(self, opt: dict):
        self.opt = opt
        self.is_train = opt.get('phase') == 'train'
        self._check_options()
        self.scale = opt['scale']
        self._clips = self._open_clips()
        self._frames = self._clips.lq.frames
        self.folders = list(self._frames)
        self.has_gt = self._clips.gt is not None
        self.data_info = {'folder': [clip for clip, frames in self._frames.items() for _ in frames]}
        self._ends = list(accumulate(len(frames) for frames in self._frames.values()))
        if self.is_train:
            self._check_crops()
        get_root_logger().info(
            f'{self._title}: {len(self.folders)} clips, {self._ends[-1]} frames, {"with" if self.has_gt else "no"} GT.'
        )
        if self._clips.with_alpha:
            get_root_logger().warning(f'{self._title}: {alpha_note(self._clips.with_alpha)}')

    def __len__(self) -> int:
        return self._ends[-1] if self.is_train else len(self.folders)

    def __getitem__(self, index: int) -> dict:
        return self._train_item(index) if self.is_train else self._clip_item(index)

    def read_gt(self, index: int, frame: int) -> Tensor:
        """Reads one ground-truth frame.

        Args:
            index: Number of the clip.
            frame: Number of the frame in the clip.

        Returns:
            (c, H, W), float32 RGB in [0, 1].

        Raises:
            UserError: The set has no ground truth, or the frame's size is not scale times that of LQ.
        """
        if not self.has_gt:
            raise UserError(f'{self._title} has no ground truth; set dataroot_gt, or leave the metrics out.')
        return img2tensor(self._clips.read_gt(self.folders[index], frame))

    def check_frames(self) -> None:
        """Looks at every frame's header; see `PairedClips.check_every_header`."""
        self._clips.check_every_header()

    def _clip_item(self, index: int) -> dict:
        clip = self.folders[index]
        names = self._frames[clip]
        lq = None
        for i, image in enumerate(self._clips.read_lq(clip, range(len(names)))):
            # Filled frame by frame, so that a long clip is in memory once.
            lq = torch.empty(len(names), 3, *image.shape[:2]) if lq is None else lq
            lq[i] = img2tensor(image)
        return {'lq': lq, 'folder': clip, 'frame_names': names}

    def _train_item(self, index: int) -> dict:
        clip, frames = self._draw_frames(index)
        lqs = list(self._clips.read_lq(clip, frames))
        gts = [self._clips.read_gt(clip, frame) for frame in frames]
        gts, lqs = paired_random_crop(
            gts, lqs, self.opt['gt_size'], self.scale, self._clips.known_gt.where(clip, frames[0])
        )
        both = [*_as_list(lqs), *_as_list(gts)]
        both = img2tensor(augment(both, self.opt.get('use_hflip', False), self.opt.get('use_rot', False)))
        half = len(frames)
        return {
            'lq': torch.stack(both[:half]),
            'gt': torch.stack(both[half:]),
            'key': f'{clip}/{self._frames[clip][min(frames)]}',
        }

    def _draw_frames(self, index: int) -> tuple[str, list[int]]:
        """The clip that frame `index` of the set is in, and the item's frames from there on if the clip allows it."""
        number = bisect.bisect_right(self._ends, index)
        clip = self.folders[number]
        length = len(self._frames[clip])
        interval = random.choice(self.opt.get('interval_list', [1]))
        last_start = length - _span(self.opt['num_frame'], interval)
        start = index - (self._ends[number] - length)
        if start > last_start:
            start = random.randint(0, last_start)
        frames = [start + i * interval for i in range(self.opt['num_frame'])]
        if self.opt.get('random_reverse', False) and random.random() < 0.5:
            frames.reverse()
        return clip, frames

    @property
    def _backend(self) -> str:
        return (self.opt.get('io_backend') or {}).get('type', 'disk')

    @property
    def _title(self) -> str:
        return f'Dataset {self.opt.get("name", "without a name")}'

    def _check_options(self) -> None:
        opt = self.opt
        if opt.get('phase') not in ('train', 'val', 'test'):
            raise UserError(f'{self._title}: phase is {opt.get("phase")!r}; it must be train, val or test.')
        if self._backend not in ('disk', 'lmdb'):
            raise UserError(f'{self._title}: io_backend type is {self._backend!r}; set disk or lmdb.')
        for key in ('scale', 'dataroot_lq', *(('dataroot_gt', 'num_frame', 'gt_size') if self.is_train else ())):
            if opt.get(key) in (None, ''):
                raise UserError(f'{self._title} ({opt["phase"]}) lacks {key}: {self.OPTION_KEYS[key]}')
        self._check_number('scale', opt['scale'])
        if self.is_train:
            self._check_train_options()
        elif unread := [key for key in _TRAIN_ONLY if key in opt]:
            raise UserError(f'{self._title}: {unread[0]} is read in training only; take it out of this set.')
        elif opt.get('num_frame', -1) != -1:
            raise UserError(
                f'{self._title}: num_frame is {opt["num_frame"]}, but validation takes whole clips; '
                f'take it out, or set -1.'
            )

    def _check_train_options(self) -> None:
        gt_size, scale, intervals = self.opt['gt_size'], self.opt['scale'], self.opt.get('interval_list', [1])
        self._check_number('num_frame', self.opt['num_frame'])
        self._check_number('gt_size', gt_size)
        if gt_size % scale:
            raise UserError(f'{self._title}: gt_size {gt_size} is not a multiple of scale {scale}; set one.')
        if not isinstance(intervals, (list, tuple)) or not intervals:
            raise UserError(f'{self._title}: interval_list is {intervals!r}; write a list such as [1].')
        for interval in intervals:
            self._check_number('interval_list', interval)

    def _check_number(self, key: str, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f'{self._title}: {key} has {value!r}; it needs a whole number from 1 up.')

    def _open_clips(self) -> PairedClips:
        listed = self.opt.get('meta_info_file') or ''
        facts = read_clip_facts(listed) if listed else {}
        lq = self._open('dataroot_lq', facts)
        gt = self._open('dataroot_gt', facts, lone_name=next(iter(lq.frames))) if self.opt.get('dataroot_gt') else None
        clips = PairedClips(lq, gt, self.scale, self._title)
        if gt is not None:
            check_listed_sizes(listed, facts, gt)
        return clips

    def _open(self, key: str, facts: dict[str, ClipFacts], lone_name: str | None = None) -> FrameSource:
        root, clips = self.opt[key], list(facts) or None
        try:
            source = LmdbSource(root, clips) if self._backend == 'lmdb' else FolderSource(root, clips, lone_name)
        except UserError:
            self._explain_missing(key, facts if self._backend == 'disk' and Path(root).is_dir() else ())
            raise
        check_listed_counts(self._title, facts, source, key)
        return source

    def _explain_missing(self, key: str, clips: Iterable[str]) -> None:
        """Names the list and the line's clip where a folder of the list is not there."""
        for clip in clips:
            if not Path(self.opt[key], clip).expanduser().is_dir():
                raise UserError(
                    f'{self._title}: {self.opt["meta_info_file"]} names clip {clip!r}, but {key} has no such folder '
                    f'({Path(self.opt[key], clip)}); correct the line or {key}.'
                )

    def _check_crops(self) -> None:
        span = _span(self.opt['num_frame'], max(self.opt.get('interval_list', [1])))
        for clip, frames in self._frames.items():
            if len(frames) < span:
                raise UserError(
                    f'{self._title}: clip {clip} has {len(frames)} frames, num_frame and interval_list need {span}; '
                    f'lower num_frame, or leave the clip out by meta_info_file.'
                )
            size = self._clips.known_gt.header(clip, 0).size
            if min(size) < self.opt['gt_size']:
                raise UserError(
                    f'{self._title}: GT of clip {clip} has {size_text(size)} pixels, less than gt_size '
                    f'{self.opt["gt_size"]}; lower gt_size, or leave the clip out by meta_info_file.'
                )


def _span(num_frame: int, interval: int) -> int:
    return (num_frame - 1) * interval + 1


def _as_list(images: list[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    """BasicSR's transforms return a lone image without its list."""
    return images if isinstance(images, list) else [images]
