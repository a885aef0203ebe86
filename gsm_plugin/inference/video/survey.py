"""The first reading of a film: how many frames it has and when, where its scenes are, what is wrong with it."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import av
import cv2
import numpy as np
import torch
from av.logging import Capture

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.colour import to_rgb
from gsm_plugin.inference.video.cuts import Cuts, read_cuts
from gsm_plugin.inference.video.facts import Picture
from gsm_plugin.inference.video.images import FolderReading
from gsm_plugin.inference.video.layout import Layout
from gsm_plugin.inference.video.reading import Reading
from gsm_plugin.inference.video.scenes import CutFinder, between

# FFmpeg's words for Matroska, whose frames are counted nowhere.
_CUT = 'File ended prematurely'
# Cuts are looked for in frames of this width, while so many more are decoded, and in so many beside the wanted part.
_WIDTH, _AHEAD, _BESIDE = 256, 16, 4


@dataclass(frozen=True)
class Survey:
    """What the first reading found.

    Attributes:
        stamps: Time stamps of the frames.
        last_duration: Duration of the last frame.
        scenes: First frame of each scene and the frame after its last.
        faults: A sentence for what could not be decoded, and for what FFmpeg complained of.
    """

    stamps: tuple[int, ...]
    last_duration: int
    scenes: tuple[tuple[int, int], ...]
    faults: tuple[str, ...] = ()

    @property
    def longest(self) -> int:
        """Frames of the longest scene."""
        return max(stop - start for start, stop in self.scenes)

    def durations(self) -> dict[int, int]:
        """Duration of each frame by its time stamp: until the next one."""
        ends = [*self.stamps[1:], self.stamps[-1] + self.last_duration]
        return {stamp: end - stamp for stamp, end in zip(self.stamps, ends, strict=True)}


def survey(reading: Reading | FolderReading, cuts: Cuts, on_frame: Callable[[int], None] | None = None) -> Survey:
    """Reads a film once.

    Args:
        reading: The film.
        cuts: How scenes are found.
        on_frame: Called with the number of frames read.

    Raises:
        UserError: It has no frame in the wanted part, or reading fails.
    """
    if isinstance(reading, Reading):
        reading = replace(reading, carefully=True)
    facts, finder, shrink = reading.facts, CutFinder(cuts.threshold), shrinking(reading.facts.layout)
    stamps: list[int] = []
    faults: list[str] = []
    last: Picture | None = None
    search = not cuts.never and cuts.listed is None
    # what FFmpeg says of frames that are not wanted does not count
    before, after = _around(reading) if search else ([], [])
    with _complaints() as complaints, _behind(lambda picture: finder.add(shrink(picture))) as look:
        for picture in before:
            look(picture)
        for picture in reading.pictures(faults.append):
            stamps.append(picture.pts)
            last = picture
            if search:
                look(picture)
            if on_frame is not None:
                on_frame(len(stamps))
        for picture in after:
            look(picture)
    if last is None:
        to = 's on' if reading.end is None else f'to {reading.end:g} s'
        part = f' from {reading.start:g} {to}' if reading.start or reading.end is not None else ''
        raise UserError(f'{facts.path} has no frames{part}; correct the wanted part, or get it again.')
    cut = next((text for text in complaints if _CUT in text), None)
    if cut is not None and isinstance(reading, Reading) and not reading.salvage:
        raise UserError(
            f'{facts.path} is cut off ({cut}); get it again, or give --salvage to take the frames that are there.'
        )
    more = f' ({len(complaints)} such messages)' if len(complaints) > 1 else ''
    faults += [f'FFmpeg complains, so look at the output: {text}{more}' for text in complaints[:1]]
    usual = max(1, round(1 / (facts.rate * facts.time_base)))
    found = [cut - len(before) for cut in finder.cuts()] if search else _listed(reading, cuts, stamps)
    scenes = between(found, len(stamps))
    return Survey(tuple(stamps), last.duration or usual, tuple(scenes), tuple(faults))


def _around(reading: Reading | FolderReading) -> tuple[list[Picture], list[Picture]]:
    """A few frames before and after the wanted part, so that it has the cuts of the whole film; what can be had."""
    length = _BESIDE / float(reading.facts.rate)
    before = replace(reading, start=max(0.0, reading.start - length), end=reading.start)
    after = None if reading.end is None else replace(reading, start=reading.end, end=reading.end + length)
    return _as_far_as_possible(before if reading.start else None), _as_far_as_possible(after)


def _as_far_as_possible(reading: Reading | FolderReading | None) -> list[Picture]:
    pictures: list[Picture] = []
    with suppress(UserError):
        if reading is not None:
            # faults of frames that are not wanted are none
            pictures += reading.pictures(lambda fault: None)
    return pictures


@contextmanager
def _behind(work: Callable[[Picture], None]) -> Iterator[Callable[[Picture], None]]:
    """What gives pictures to another thread, which works on them in order; it is done with all at the end."""
    with ThreadPoolExecutor(1) as pool:
        left: deque[Future[None]] = deque()

        def give(picture: Picture) -> None:
            left.append(pool.submit(work, picture))
            if len(left) > _AHEAD:
                left.popleft().result()

        yield give
        while left:
            left.popleft().result()


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What FFmpeg complains of in this thread, such as damage that it conceals; filled at the end."""
    said: list[str] = []
    skips = av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    # or what one film has would not be heard of the next
    av.logging.set_skip_repeated(False)
    try:
        with Capture() as lines:
            yield said
    finally:
        av.logging.set_level(None)
        av.logging.set_skip_repeated(skips)
    said += [f'{name}: {text.strip()}' for _, name, text in lines]


def _listed(reading: Reading | FolderReading, cuts: Cuts, stamps: list[int]) -> list[int]:
    if cuts.listed is None:
        return []
    facts = reading.facts
    seconds = [float(stamp * facts.time_base) - facts.start for stamp in stamps]
    # Numbers count from the film's beginning, so where a part is wanted, what lies before it has to be known.
    offset = round(seconds[0] * float(facts.rate)) if reading.start else 0
    return read_cuts(cuts.listed, seconds, offset, reading.end is None)


def shrinking(layout: Layout) -> Callable[[Picture], np.ndarray]:
    """What makes frames of a film as small as the search for cuts needs them, (h, w, 3), uint8, BGR.

    Args:
        layout: What the film's samples mean.
    """
    name = {'yuv': 'yuv444p', 'gray': 'gray', 'rgb': 'gbrp'}[layout.kind]
    whole = Layout(name if layout.depth == 8 else f'{name}{layout.depth}le', layout.full_range, layout.matrix)
    planes = 1 if layout.kind == 'gray' else 3
    # colours are an affine map of codes: none, and each alone
    codes = torch.cat((torch.zeros(1, planes), torch.eye(planes))).T
    first, *others = 255 * to_rgb(list(codes[:, :, None, None]), whole).flatten(1).flip(1)
    to_bgr = torch.stack([*(other - first for other in others), first], 1).numpy()

    def shrink(picture: Picture) -> np.ndarray:
        height, width = picture.planes[0].shape
        size = (min(width, _WIDTH), max(1, round(height * min(width, _WIDTH) / width)))
        small = cv2.merge([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in picture.planes])
        if layout.depth == 8:
            return cv2.transform(small, to_bgr)
        return cv2.transform(small.astype(np.float32), to_bgr).round().clip(0, 255).astype(np.uint8)

    return shrink
