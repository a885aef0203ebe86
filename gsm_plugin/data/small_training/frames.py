"""Clips of frames out of videos of single shots."""

import shutil
from collections import Counter
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.parallel import map_in_order
from gsm_plugin.data.tools.lmdb_writer import encode_png
from gsm_plugin.data.videos import crop_to_multiple, decode_video

_GT_WIDTH = 640
_FEWEST_FRAMES = 16
_VALIDATION_FRAMES = 15


def write_frames(videos: list[Path], folder: Path, longest: int, workers: int) -> Counter:
    """Writes the frames of videos as clips of PNGs, shrunk by area by a whole factor to at most 640 pixels of width.

    Args:
        videos: Videos without cuts.
        folder: Folder to write `<video>_<first frame>/00000000.png` to.
        longest: Most frames of a clip; longer videos become several clips, without one of less than 16 frames.
        workers: How many frames are written at once.

    Returns:
        Number of frames by clip.
    """
    counts: Counter[str] = Counter()

    def write(item: tuple) -> str:
        video, number, frame = item
        clip = folder / f'{video.stem}_{number // longest * longest:05d}'
        clip.mkdir(parents=True, exist_ok=True)
        (clip / f'{number % longest:08d}.png').write_bytes(encode_png(_ground_truth(frame)))
        return clip.name

    frames = ((video, number, frame) for video in videos for number, frame in enumerate(decode_video(video)))
    for clip in tqdm(map_in_order(write, frames, workers), folder.name, unit='frame', disable=None):
        counts[clip] += 1
    # What is left at the end of a video.
    for clip in [clip for clip, count in counts.items() if count < _FEWEST_FRAMES]:
        shutil.rmtree(folder / clip)
        del counts[clip]
    return counts


def write_validation(videos: list[Path], folder: Path) -> None:
    """Writes the first 15 frames of each video as `GT/<video>`, and MATLAB's bicubic x4 of them as `LQ/<video>`."""
    for video in videos:
        for number, frame in enumerate(islice(decode_video(video), _VALIDATION_FRAMES)):
            gt = _ground_truth(frame)
            for kind, image in (('GT', gt), ('LQ', resize_bicubic(gt, 1 / 4))):
                path = folder / kind / video.stem / f'{number:08d}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode_png(image))


def _ground_truth(frame: np.ndarray) -> np.ndarray:
    """A frame shrunk by area by a whole factor, so that little of its compression is left, sides multiples of 4."""
    shrink = -(-frame.shape[1] // _GT_WIDTH)
    if shrink > 1:
        size = frame.shape[1] // shrink, frame.shape[0] // shrink
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return crop_to_multiple(frame, 4)
