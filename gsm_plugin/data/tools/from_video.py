"""Clips out of videos, in the layout of REDS: `000/00000000.png`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gsm_plugin.data.paired_clips import size_text
from gsm_plugin.data.parallel import default_workers, map_in_order
from gsm_plugin.data.tools.lmdb_writer import encode_png
from gsm_plugin.data.tools.shots import cut_shots, find_shots
from gsm_plugin.data.videos import announced_frames, crop_to_multiple, decode_video
from gsm_plugin.errors import UserError
from gsm_plugin.files import refuse_existing, whole_or_nothing


@dataclass(frozen=True)
class MadeClip:
    """A clip that was made.

    Attributes:
        name: Its folder.
        video: Where it comes from.
        start: Number of its first frame in the video.
        stop: Number of the frame after its last.
    """

    name: str
    video: Path
    start: int
    stop: int


@dataclass(frozen=True)
class MadeClips:
    """What was made.

    Attributes:
        clips: The clips, in order.
        cut_videos: Videos of which fewer frames could be decoded than their header promises: the two numbers.
        losses: A sentence for every video that is not in the clips with all of its frames and pixels.
        left_out: Videos of which nothing is in the clips.
    """

    clips: list[MadeClip]
    cut_videos: dict[Path, tuple[int, int]]
    losses: list[str]
    left_out: list[Path]


def make_clips(
    videos: list[Path],
    out: Path,
    min_frames: int = 100,
    max_frames: int = 100,
    multiple: int = 4,
    first_number: int = 0,
    threshold: float = 3.0,
    workers: int | None = None,
) -> MadeClips:
    """Makes clips without cuts out of videos.

    All is built in `<out>.part`, which becomes `out` when it is whole and is removed on an interruption.

    Args:
        videos: Video files.
        out: Folder to make.
        min_frames: What is shorter is left out.
        max_frames: Longer shots are cut into several clips. BasicSR's REDS sets read 100 frames of every clip, so
            100 for both serves them; `VideoFoldersDataset` takes any length.
        multiple: Frames are cut on the right and below to a multiple of this number, which the scale has to divide.
        first_number: Name of the first clip.
        threshold: See `find_shots`.
        workers: Number of threads that write.

    Raises:
        UserError: The folder exists, a number is wrong, a video cannot be read, or no shot is long enough.
    """
    refuse_existing(out)
    if not 1 <= min_frames <= max_frames:
        raise UserError(
            f'--min-frames is {min_frames} and --max-frames {max_frames}; give 1 or more, and then no less.'
        )
    clips: list[MadeClip] = []
    cut_videos: dict[Path, tuple[int, int]] = {}
    losses: list[str] = []
    left_out: list[Path] = []
    for video in dict.fromkeys(videos):
        announced = announced_frames(video)
        sizes: set[tuple[int, int]] = set()
        frames = _noting_sizes(decode_video(video), sizes)
        shots = find_shots(tqdm(frames, f'cuts of {video.name}', announced, unit='frame'), threshold)
        decoded = shots[-1][1] if shots else 0
        if announced is not None and decoded < announced:
            cut_videos[video] = decoded, announced
        kept = cut_shots(shots, min_frames, max_frames)
        clips += [MadeClip(f'{first_number + len(clips) + i:03d}', video, *span) for i, span in enumerate(kept)]
        left_out += [] if kept else [video]
        losses += _describe_losses(video, shots, kept, min_frames, [] if not kept else sorted(sizes), multiple)
    if not clips:
        raise UserError(
            f'no shot of {", ".join(map(str, videos))} has {min_frames} frames; '
            f'lower --min-frames, since VideoFoldersDataset takes clips of any length.'
        )
    with whole_or_nothing(out) as part:
        places = _frames_of(clips, multiple)
        written = map_in_order(lambda item: _write(part, *item), places, workers or default_workers())
        for _ in tqdm(written, out.name, sum(clip.stop - clip.start for clip in clips), unit='frame'):
            pass
    return MadeClips(clips, cut_videos, losses, left_out)


def _noting_sizes(frames: Iterator[np.ndarray], sizes: set[tuple[int, int]]) -> Iterator[np.ndarray]:
    for frame in frames:
        sizes.add(frame.shape[:2])
        yield frame


def _describe_losses(
    video: Path,
    shots: list[tuple[int, int]],
    kept: list[tuple[int, int]],
    min_frames: int,
    sizes: list[tuple[int, int]],
    multiple: int,
) -> Iterator[str]:
    every, used = (sum(stop - start for start, stop in spans) for spans in (shots, kept))
    if not kept:
        longest = max((stop - start for start, stop in shots), default=0)
        yield (
            f'{video} is left out: the longest of its {len(shots)} shots has {longest} frames, less than the '
            f'{min_frames} of --min-frames.'
        )
    elif used < every:
        lost = f'{every - used} of {every} frames of {video} are in no clip'
        yield f'{lost}: what is left of a shot is below {min_frames} frames.'
    for height, width in sizes:
        if height % multiple or width % multiple:
            fitting = size_text((height - height % multiple, width - width % multiple))
            cut = f'from {size_text((height, width))} to {fitting} pixels'
            yield f'Frames of {video} are cut {cut} (--multiple {multiple}).'


def _frames_of(clips: list[MadeClip], multiple: int) -> Iterator[tuple[str, int, np.ndarray]]:
    """Clip, number in it, and frame (h, w, 3), for all frames of all clips; every video is decoded once."""
    for video in dict.fromkeys(clip.video for clip in clips):
        places = {
            number: (clip.name, number - clip.start)
            for clip in clips
            if clip.video == video
            for number in range(clip.start, clip.stop)
        }
        for number, frame in enumerate(decode_video(video)):
            if number in places:
                yield *places[number], _crop(frame, multiple, video)


def _crop(frame: np.ndarray, multiple: int, video: Path) -> np.ndarray:
    if min(frame.shape[:2]) < multiple:
        size = f'{frame.shape[0]}x{frame.shape[1]}'
        raise UserError(f'{video} has {size} pixels, less than the multiple {multiple} to cut to; lower --multiple.')
    return crop_to_multiple(frame, multiple)


def _write(part: Path, clip: str, number: int, frame: np.ndarray) -> None:
    folder = part / clip
    folder.mkdir(exist_ok=True)
    (folder / f'{number:08d}.png').write_bytes(encode_png(frame))
