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

from gsm_plugin.compat.image_files import alpha_note
from gsm_plugin.data.clip_names import ClipFacts, read_clip_facts
from gsm_plugin.data.frame_sources import FolderSource, FrameSource, LmdbSource
from gsm_plugin.data.listed_clips import check_listed_counts, check_listed_sizes
from gsm_plugin.data.paired_clips import PairedClips, size_text
from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.kinds import Positive, check_value
from gsm_plugin.options.declared.sections import require_key
from gsm_plugin.options.declared.set_sections import VideoFolders, scale_of
from gsm_plugin.options.together import require_multiple

_TRAIN_ONLY = ('gt_size', 'interval_list', 'random_reverse', 'use_hflip', 'use_rot')


class VideoFoldersDataset(torch.utils.data.Dataset):
    """Clips as folders of images or in LMDBs of BasicSR's layout, read lazily.

    LQ and GT are matched by clip and frame name (without the extension), never by position. Frames are in natural
    order of their names. Nothing is cached, so memory does not depend on the size of the set.

    Training items are `num_frame` frames from one clip, every frame being a possible start, as in BasicSR's
    `REDSRecurrentDataset`: `lq` (t, c, h, w) and `gt` (t, c, h * scale, w * scale) as float32 RGB in [0, 1], and `key`.
    Validation and test items are whole clips: `lq`, `folder` and `frame_names`; see `read_gt` for the ground truth.

    Args:
        opt: The dataset's options, declared in `OPTIONS`.

    Raises:
        UserError: A path does not exist or has no images, an option is missing or wrong, LQ and GT disagree, or a clip
            is too short or too small.
    """

    OPTIONS: ClassVar[dict] = {(): VideoFolders}

    def __init__(self, opt: dict):
        self.opt = opt
        self.is_train = opt.get('phase') == 'train'
        self._own = self._read_options()
        self.scale = scale_of(opt, self._title)
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
        gts, lqs = paired_random_crop(gts, lqs, self._gt_size, self.scale, self._clips.known_gt.where(clip, frames[0]))
        both = [*_as_list(lqs), *_as_list(gts)]
        both = img2tensor(augment(both, self._own.use_hflip, self._own.use_rot))
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
        interval = random.choice(self._own.interval_list)
        last_start = length - _span(self._own.num_frame, interval)
        start = index - (self._ends[number] - length)
        if start > last_start:
            start = random.randint(0, last_start)
        frames = [start + i * interval for i in range(self._own.num_frame)]
        if self._own.random_reverse and random.random() < 0.5:
            frames.reverse()
        return clip, frames

    @property
    def _gt_size(self) -> int:
        """The crop of a training set, which has one."""
        assert self._own.gt_size is not None
        return self._own.gt_size

    @property
    def _title(self) -> str:
        return f'Dataset {self.opt.get("name", "without a name")}'

    def _read_options(self) -> VideoFolders:
        opt, where = self.opt, f'{self._title}: '
        if opt.get('phase') not in ('train', 'val', 'test'):
            raise UserError(f'{where}phase is {opt.get("phase")!r}; it must be train, val or test.')
        own = VideoFolders.read(opt, where)
        if self.is_train:
            for name in ('dataroot_gt', 'num_frame', 'gt_size'):
                # which validation and tests can do without
                require_key(VideoFolders, name, opt, where)
            check_value(own.num_frame, Positive, f'{where}num_frame')
            require_multiple(own.gt_size or 0, scale_of(opt, self._title), where)
        elif unread := [key for key in _TRAIN_ONLY if key in opt]:
            raise UserError(f'{where}{unread[0]} is read in training only; take it out of this set.')
        elif own.num_frame != -1:
            raise UserError(
                f'{where}num_frame is {own.num_frame}, but validation takes whole clips; take it out, or set -1.'
            )
        return own

    def _open_clips(self) -> PairedClips:
        listed = self._own.meta_info_file
        facts = read_clip_facts(listed) if listed else {}
        lq = self._open('dataroot_lq', facts)
        gt = self._open('dataroot_gt', facts, lone_name=next(iter(lq.frames))) if self._own.dataroot_gt else None
        clips = PairedClips(lq, gt, self.scale, self._title)
        if gt is not None:
            check_listed_sizes(listed or '', facts, gt)
        return clips

    def _open(self, key: str, facts: dict[str, ClipFacts], lone_name: str | None = None) -> FrameSource:
        root, clips, is_lmdb = self.opt[key], list(facts) or None, self._own.io_backend.type == 'lmdb'
        try:
            source = LmdbSource(root, clips) if is_lmdb else FolderSource(root, clips, lone_name)
        except UserError:
            self._explain_missing(key, facts if not is_lmdb and Path(root).is_dir() else ())
            raise
        check_listed_counts(self._title, facts, source, key)
        return source

    def _explain_missing(self, key: str, clips: Iterable[str]) -> None:
        """Names the list and the line's clip where a folder of the list is not there."""
        for clip in clips:
            if not Path(self.opt[key], clip).expanduser().is_dir():
                raise UserError(
                    f'{self._title}: {self._own.meta_info_file} names clip {clip!r}, but {key} has no such folder '
                    f'({Path(self.opt[key], clip)}); correct the line or {key}.'
                )

    def _check_crops(self) -> None:
        span = _span(self._own.num_frame, max(self._own.interval_list))
        for clip, frames in self._frames.items():
            if len(frames) < span:
                raise UserError(
                    f'{self._title}: clip {clip} has {len(frames)} frames, num_frame and interval_list need {span}; '
                    f'lower num_frame, or leave the clip out by meta_info_file.'
                )
            size = self._clips.known_gt.header(clip, 0).size
            if min(size) < self._gt_size:
                raise UserError(
                    f'{self._title}: GT of clip {clip} has {size_text(size)} pixels, less than gt_size '
                    f'{self._gt_size}; lower gt_size, or leave the clip out by meta_info_file.'
                )


def _span(num_frame: int, interval: int) -> int:
    return (num_frame - 1) * interval + 1


def _as_list(images: list[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    """BasicSR's transforms return a lone image without its list."""
    return images if isinstance(images, list) else [images]
