"""LQ clips and their ground truth, matched by name and checked against each other."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from gsm_plugin.compat.image_files import ImageHeader
from gsm_plugin.data.frame_sources import FrameSource
from gsm_plugin.data.lq_gt_checks import other_size
from gsm_plugin.data.parallel import map_in_order
from gsm_plugin.errors import UserError

_THREADS = 8


class PairedClips:
    """Clips of LQ frames with or without ground truth, matched by clip and frame name, never by position.

    Names and numbers of frames are compared for all clips at construction, sizes for the first frame of each from the
    header of its file; the sizes of the other frames are compared as they are read, or by `check_every_header`.

    Args:
        lq: The LQ clips.
        gt: The clips of ground truth, or None.
        scale: Enlargement from LQ to GT.
        title: What messages call the set.

    Attributes:
        with_alpha: Names of first frames that have an alpha channel, which is not read.

    Raises:
        UserError: LQ and GT disagree in names or number of clips or frames, or in size, or a first frame cannot be
            read.
    """

    def __init__(self, lq: FrameSource, gt: FrameSource | None, scale: int, title: str):
        self.lq, self.gt, self._scale, self._title = lq, gt, scale, title
        self.with_alpha: list[str] = []
        if gt is not None:
            self._match_clips(gt)
        for clip in lq.frames:
            header = self._look_at(lq, clip)
            if gt is not None:
                self._match_frames(clip, lq.frames[clip], gt.frames[clip])
                self._check_size(clip, 0, self._look_at(gt, clip).size, header.size)

    @property
    def known_gt(self) -> FrameSource:
        """`gt` of a set that has it, as those for training do."""
        assert self.gt is not None
        return self.gt

    def read_lq(self, clip: str, frames: Sequence[int]) -> Iterator[np.ndarray]:
        """Reads LQ frames of a clip one after another: (h, w, 3), float32, BGR, in [0, 1].

        Raises:
            UserError: A frame is damaged, or its size is not that of the first.
        """
        first = None
        for frame in frames:
            image = self.lq.read(clip, frame)
            first = image.shape if first is None else first
            if image.shape != first:
                raise other_size(self.lq.where(clip, frame), image.shape, self.lq.where(clip, frames[0]), first)
            yield image

    def read_gt(self, clip: str, frame: int) -> np.ndarray:
        """Reads a frame of ground truth: (h * scale, w * scale, 3), float32, BGR, in [0, 1].

        Raises:
            UserError: The frame is damaged, or its size is not scale times that of LQ.
        """
        image = self.known_gt.read(clip, frame)
        self._check_size(clip, frame, image.shape, self.lq.header(clip, frame).size)
        return image

    def check_every_header(self, clips: Iterable[str] | None = None) -> None:
        """Reads the headers of all frames, so that what cannot be read later is named before a run is spent on it.

        Args:
            clips: Names of the clips that are looked at; None for all.

        Raises:
            UserError: A frame is missing, empty or no image, or has not the size that it should have.
        """
        wanted = self.lq.frames if clips is None else clips
        places = [(clip, frame) for clip in wanted for frame in range(len(self.lq.frames[clip]))]
        # Threads, since a disk far away answers many questions at once.
        headers = map_in_order(self._headers_at, places, _THREADS)
        first: ImageHeader | None = None
        for (clip, frame), (lq, gt) in zip(places, tqdm(headers, 'headers', len(places), delay=2), strict=True):
            first = lq if first is None or frame == 0 else first
            if lq.size != first.size:
                raise other_size(self.lq.where(clip, frame), lq.size, self.lq.where(clip, 0), first.size)
            if gt is not None:
                self._check_size(clip, frame, gt.size, lq.size)

    def _headers_at(self, place: tuple[str, int]) -> tuple[ImageHeader, ImageHeader | None]:
        return self.lq.header(*place), None if self.gt is None else self.gt.header(*place)

    def _look_at(self, source: FrameSource, clip: str) -> ImageHeader:
        header = source.header(clip, 0)
        if header.has_alpha:
            self.with_alpha.append(source.where(clip, 0))
        return header

    def _match_clips(self, gt: FrameSource) -> None:
        for clip in [*self.lq.frames, *gt.frames]:
            for key, source in (('dataroot_lq', self.lq), ('dataroot_gt', gt)):
                if clip not in source.frames:
                    raise UserError(
                        f'{self._title}: clip {clip} is missing in {key} ({source.root}); add it there, '
                        f'or name the wanted clips in meta_info_file.'
                    )

    def _match_frames(self, clip: str, lq: list[str], gt: list[str]) -> None:
        if lq != gt:
            frame = sorted(set(lq) ^ set(gt))[0]
            lacking = 'dataroot_lq' if frame in gt else 'dataroot_gt'
            raise UserError(
                f'{self._title}: clip {clip} has no frame {frame} in {lacking} (LQ has {len(lq)}, GT {len(gt)}); '
                f'LQ and GT frames need the same names, so add, remove or rename it.'
            )

    def _check_size(self, clip: str, frame: int, gt_shape: tuple, lq_shape: tuple) -> None:
        if tuple(gt_shape[:2]) != (lq_shape[0] * self._scale, lq_shape[1] * self._scale):
            raise UserError(
                f'{self.known_gt.where(clip, frame)} has {size_text(gt_shape)} pixels, which is not {self._scale} '
                f'times the {size_text(lq_shape)} of LQ clip {clip}; correct scale, or make the LQ frames again.'
            )


def size_text(shape: Sequence[int]) -> str:
    """Height and width for messages, such as `180x320`."""
    return f'{shape[0]}x{shape[1]}'
