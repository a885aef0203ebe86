"""Keeps what a report shows of each network: the middle frame of a few clips, and how one row of it goes in time."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from gsm_plugin.files import write_whole
from gsm_plugin.models.validation import Clip
from gsm_plugin.scoring.running import gt_images, lq_images

LQ, GT = 'LQ', 'GT'


class Pictures:
    """Pictures below a folder: `<clip>/<label>.png` and, for clips of several scored frames, `<clip>/<label>.time.png`.

    A temporal profile has a row for each frame: the middle row of that frame.

    Args:
        folder: The folder.
        names: The clips of which pictures are kept.
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self._folder, self._names = folder, list(names)

    def keep(self, label: str, clip: Clip, images: Sequence[np.ndarray]) -> None:
        """Keeps the pictures of a network's output, and those of LQ and ground truth where they are missing."""
        if clip.folder not in self._names:
            return
        self._write(clip.folder, label, images)
        if not self._path(clip.folder, GT).is_file():
            gt, lq = gt_images(clip), lq_images(clip)
            scale = gt[0].shape[0] // lq[0].shape[0]
            self._write(clip.folder, LQ, [image.repeat(scale, 0).repeat(scale, 1) for image in lq])
            self._write(clip.folder, GT, gt)

    def of(self, labels: Sequence[str]) -> dict[str, dict[str, Path]]:
        """The kept pictures of some labels, between LQ and ground truth: clip -> label -> path."""
        found = {
            name: {label: self._path(name, label) for label in (LQ, *labels, GT) if self._path(name, label).is_file()}
            for name in self._names
        }
        return {name: paths for name, paths in found.items() if paths}

    def _write(self, name: str, label: str, images: Sequence[np.ndarray]) -> None:
        path = self._path(name, label)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_image(path, images[len(images) // 2])
        if len(images) > 1:
            _write_image(profile_of(path), np.stack([image[image.shape[0] // 2] for image in images]))

    def _path(self, name: str, label: str) -> Path:
        return self._folder / name.replace('/', '_') / f'{label}.png'


def profile_of(path: Path) -> Path:
    """Where the temporal profile of a picture is."""
    return path.with_suffix('.time.png')


def _write_image(path: Path, image: np.ndarray) -> None:
    write_whole(path, cv2.imencode('.png', image)[1].tobytes())
