"""Clips to be scored: of a data set on disk, or ground truth whose LQ frames are made in memory."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch
from basicsr.utils import img2tensor

from gsm_plugin.compat.image_files import read_image, to_unit
from gsm_plugin.data.clip_names import is_hidden, is_image_name
from gsm_plugin.data.degradations import degrade, least_side
from gsm_plugin.data.degrading.codecs import Encoding, recode
from gsm_plugin.data.frame_sources import FolderSource
from gsm_plugin.data.lq_gt_checks import common_size
from gsm_plugin.data.paired_clips import PairedClips
from gsm_plugin.data.sample_videos import read_frames, shrink_by_area
from gsm_plugin.data.tools.images import say_if_alpha
from gsm_plugin.data.videos import VIDEO_SUFFIXES, announced_frames, crop_to_multiple
from gsm_plugin.errors import UserError
from gsm_plugin.metrics.measures import MEASURES
from gsm_plugin.models.validation import Clip


class ClipSet(Interface):
    """Clips by name.

    Attributes:
        lengths: Number of scored frames of each clip.
    """

    lengths: dict[str, int]

    def open(self, name: str) -> Clip:
        """Reads a clip."""

    def fingerprint(self, name: str) -> str:
        """Changes when a clip's files do."""


class PairedClipSet:
    """Clips of a data set.

    Args:
        paired: LQ and ground truth.
        center_frame_only: Whether the centre frame of each clip alone is scored.
    """

    def __init__(self, paired: PairedClips, center_frame_only: bool):
        self._paired = paired
        self._center = center_frame_only
        self.lengths = {clip: 1 if center_frame_only else len(names) for clip, names in paired.lq.frames.items()}

    def open(self, name: str) -> Clip:
        """Reads a clip; its ground truth is read frame by frame later."""
        names = self._paired.lq.frames[name]
        lq = torch.stack([img2tensor(image) for image in self._paired.read_lq(name, range(len(names)))])
        frames = [len(names) // 2] if self._center else list(range(len(names)))
        scored = [names[frame] for frame in frames]
        return Clip(name, lq, frames, scored, lambda frame: img2tensor(self._paired.read_gt(name, frame)))

    def check(self, names: Iterable[str]) -> None:
        """Refuses clips of which a frame cannot be read or has another size, as the headers of all frames show.

        Raises:
            UserError: There is one.
        """
        self._paired.check_every_header(names)

    def fingerprint(self, name: str) -> str:
        """Changes when a clip's files do."""
        sources = self._paired.lq, self._paired.known_gt
        files = [Path(source.where(name, frame)) for source in sources for frame in range(len(source.frames[name]))]
        return fingerprint(files)


# Frames from one key frame to the next, as x264 has it.
_GOP = 250


@dataclass(frozen=True)
class Reduction:
    """How ground truth becomes LQ frames.

    Attributes:
        degradation: A key of `DEGRADATIONS`.
        scale: Factor between both; None until the networks have been looked at.
        frames: The first so many of each clip are taken; None takes all.
        shrink: Whole factor by which the ground truth itself is made smaller before, by area.
        crf: Quality in which LQ frames are encoded by H.264 and decoded again; None leaves them as they are.
    """

    degradation: str
    scale: int | None = 4
    frames: int | None = None
    shrink: int = 1
    crf: float | None = None

    @property
    def known_scale(self) -> int:
        """`scale`, after the networks have been looked at."""
        assert self.scale is not None
        return self.scale


class ReducedClipSet:
    """Videos, or folders of images, as ground truth of LQ frames that are made from them.

    Args:
        places: See `find_clips`.
        reduction: How the LQ frames are made.

    Raises:
        UserError: A clip cannot be read.
    """

    def __init__(self, places: Mapping[str, Path], reduction: Reduction):
        self._reduction = reduction
        self._places = places
        say_if_alpha(image for path in self._places.values() if path.is_dir() for image in _images_in(path)[:1])
        self.lengths = {name: self._length(path) for name, path in self._places.items()}

    def open(self, name: str) -> Clip:
        """Reads and reduces a clip; frames are cut to a multiple of the scale on the right and below."""
        reduction = self._reduction
        gt = self._read(self._places[name])
        if len({frame.shape for frame in gt}) > 1:
            raise UserError(f'{self._places[name]} has frames of several sizes; make them the same.')
        lq = [degrade(frame, reduction.degradation, reduction.known_scale) for frame in gt]
        if reduction.crf is not None:
            lq = list(recode(lq, Encoding('h264', reduction.crf, bitrate=0, gop=_GOP)))
        return Clip(
            name,
            torch.stack([_tensor(frame) for frame in lq]),
            range(len(gt)),
            [f'{number:08d}' for number in range(len(gt))],
            lambda frame: _tensor(gt[frame]),
        )

    def fingerprint(self, name: str) -> str:
        """Changes when a clip's files do."""
        path = self._places[name]
        files = [path] if path.is_file() else sorted(path.iterdir())
        return fingerprint(files)

    def check(self, names: Iterable[str], measures: Iterable[str]) -> None:
        """Refuses clips that cannot be reduced or scored, as their first frames and the headers of all images show.

        Args:
            names: The clips that are wanted.
            measures: Keys of `MEASURES`, by which they are scored.

        Raises:
            UserError: There is one.
        """
        for name in names:
            first = list(islice(self._frames(self._places[name]), 1))
            self._check_frames(self._places[name], first)
            if self._places[name].is_dir():
                common_size(_frames_in(self._places[name])[: self._reduction.frames])
            height, width = first[0].shape[:2]
            for measure in measures:
                least = MEASURES[measure].least_side
                if min(height, width) < least:
                    raise UserError(
                        f'--metrics {measure} is of frames of at least {least}x{least} pixels, but those of clip '
                        f'{name} have {height}x{width}; leave {measure} out, or name other clips.'
                    )

    def _read(self, path: Path) -> list[np.ndarray]:
        read = list(islice(self._frames(path), self._reduction.frames))
        self._check_frames(path, read)
        return read

    def _frames(self, path: Path) -> Iterator[np.ndarray]:
        read = read_frames if path.is_file() else _read_images
        return read(path, self._reduction.shrink, self._reduction.known_scale)

    def _check_frames(self, path: Path, read: Sequence[np.ndarray]) -> None:
        shrink, least = self._reduction.shrink, least_side(self._reduction.degradation, self._reduction.known_scale)
        if not read or min(read[0].shape[:2]) < least:
            shrunk = f' when made {shrink} times smaller' if shrink > 1 else ''
            cure = 'name another clip, or a smaller --shrink' if shrink > 1 else 'name another clip'
            raise UserError(f'{path} has no frames of at least {least}x{least} pixels{shrunk}; {cure}.')
        if self._reduction.crf is not None and any(frame.dtype != np.uint8 for frame in read):
            raise UserError(f'{path} has frames of 16 bits, which --crf cannot encode; leave it out.')

    def _length(self, path: Path) -> int:
        found = announced_frames(path) or 0 if path.is_file() else len(_images_in(path))
        if found < 1:
            raise UserError(f'{path} has no frames that can be read; remove it, or name another clip.')
        return found if self._reduction.frames is None else min(found, self._reduction.frames)


def fingerprint(files: Iterable[Path]) -> str:
    """A short hash of the names and sizes of files."""
    lines = [f'{file.name} {file.stat().st_size}' for file in files]
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def find_clips(place: str | Path) -> dict[str, Path]:
    """Clips by name.

    Args:
        place: A video, a folder of images, or a folder of videos or of folders of images.

    Raises:
        UserError: There is nothing of the kind.
    """
    place = Path(place).expanduser()
    if place.is_file() and is_image_name(place.name):
        raise UserError(f'{place} is one image; name the folder of the frames.')
    if place.is_file():
        return {place.stem: place}
    label, equals, file = str(place).partition('=')
    if not place.exists() and equals and Path(file).exists():
        raise UserError(f'{place} does not exist, since clips have no labels such as {label}; write {file}.')
    if not place.is_dir():
        raise UserError(f'{place} does not exist; name a video, or a folder of images or videos.')
    entries = sorted(entry for entry in place.iterdir() if not is_hidden(entry.name))
    if _images_in(place):
        return {place.resolve().name: place}
    found = [entry for entry in entries if entry.is_dir() or entry.suffix.lower() in VIDEO_SUFFIXES]
    if not found:
        raise UserError(f'{place} has neither images nor videos nor folders of images; name another folder.')
    return {entry.stem if entry.is_file() else entry.name: entry for entry in found}


def _images_in(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if is_image_name(file.name) and not file.is_dir()]


def _frames_in(folder: Path) -> list[str]:
    # as one clip, whatever folders lie beside its frames
    source = FolderSource(folder.resolve().parent, [folder.resolve().name])
    clip = next(iter(source.frames))
    return [source.where(clip, number) for number in range(len(source.frames[clip]))]


def _read_images(folder: Path, shrink: int, multiple: int) -> Iterator[np.ndarray]:
    for path in _frames_in(folder):
        image = read_image(path)
        yield crop_to_multiple(shrink_by_area(image, shrink, path), multiple)


def _tensor(frame: np.ndarray) -> torch.Tensor:
    return img2tensor(to_unit(frame))


def names_of(clips: ClipSet, wanted: Sequence[str] | None) -> list[str]:
    """The clips that the user wants of a set.

    Raises:
        UserError: One of them is not in it, or named twice.
    """
    for name in wanted or ():
        if list(wanted or ()).count(name) > 1:
            raise UserError(f'--clips has {name} twice; name it once.')
        if name not in clips.lengths:
            raise UserError(f'--clips has {name}, which is not there; take some of {", ".join(clips.lengths)}.')
    return list(wanted or clips.lengths)
