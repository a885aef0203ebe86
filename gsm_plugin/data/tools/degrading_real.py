"""LQ copies of clips, degraded as real ones are: by clips, since a codec is no matter of single frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gsm_plugin.compat.image_files import to_8_bit
from gsm_plugin.data.degrading.real import RealDegradation
from gsm_plugin.data.paired_clips import size_text
from gsm_plugin.data.parallel import default_workers, map_in_order
from gsm_plugin.data.tools.degrading import Frame, check_out, fit_to_scale, read_frames
from gsm_plugin.data.tools.images import say_if_alpha
from gsm_plugin.data.tools.lmdb_writer import encode_png
from gsm_plugin.errors import UserError
from gsm_plugin.files import fingerprint, resumed_folder, write_whole


@dataclass(frozen=True)
class _Job:
    """What is done to every clip."""

    degradation: RealDegradation
    scale: int
    with_gt: bool
    seed: int
    part: Path

    def run(self, clip: tuple[str, Iterator[Frame], int]) -> int:
        """Writes the files of a clip, unless all are there; how many frames it has."""
        name, frames, count = clip
        done = self._target('.done', f'{name}/done')
        if done.is_file():
            return int(done.read_bytes())
        # Of the name too, so that a clip does not depend on those before it.
        rng = np.random.default_rng([self.seed, *name.encode()])
        written = 0
        names: list[str] = []
        for lq in self.degradation.draw(rng).stream(self._ground_truth(frames, names), count):
            self._write('LQ' if self.with_gt else '', names[written], lq)
            written += 1
        done.parent.mkdir(parents=True, exist_ok=True)
        write_whole(done, str(written).encode())
        return written

    def _ground_truth(self, frames: Iterator[Frame], names: list[str]) -> Iterator[np.ndarray]:
        shape = None
        for name, read in frames:
            image = read()
            gt = fit_to_scale(image, name, self.scale, self.with_gt)
            shape = shape or gt.shape
            if gt.shape != shape:
                raise UserError(
                    f'{name} has {size_text(gt.shape)} pixels, the frames before it {size_text(shape)}; '
                    f'make all frames of a clip the same size.'
                )
            if self.with_gt:
                self._write('GT', name, gt)
            names.append(name)
            yield to_8_bit(gt)

    def _write(self, kind: str, name: str, image: np.ndarray) -> None:
        path = self._target(kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, encode_png(image))

    def _target(self, kind: str, name: str) -> Path:
        return self.part / kind / name


def degrade_real_clips(
    source: Path,
    out: Path,
    section: dict,
    seed: int,
    scale: int = 4,
    with_gt: bool = False,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Makes LQ frames as `DegradedClipsDataset` does, under the names of the GT frames, as PNG.

    An interrupted run is gone on with clip by clip; see `degrading.degrade_clips`.

    Args:
        source: Folder of clips at any depth, or a video, which becomes a clip of its name.
        out: Folder to make.
        section: The options of the section `degradation`; left out, the defaults hold.
        seed: What each clip, with its name, draws its degradation from.
        scale: GT side over LQ side.
        with_gt: Write `out/GT`, cut to a multiple of the scale, beside `out/LQ`.
        workers: Number of threads, each at a clip.
        say: Takes a sentence for images with alpha.

    Returns:
        Number of frames.

    Raises:
        UserError: The folder exists or lies in the source, an option is wrong, the source cannot be read, or frames
            do not fit.
    """
    check_out(source, out)
    degradation = RealDegradation(section, scale, 'data degrade')
    files, frames, total = read_frames(source)
    if not source.is_file():
        say_if_alpha(files.values())
    # The frames of a video are read one by one, as they are needed.
    clips = iter([(source.stem, frames, total or 1)]) if source.is_file() else _by_clip(frames)
    with resumed_folder(out, fingerprint(f'real {scale} {with_gt} {seed} {section}', files)) as part:
        job = _Job(degradation, scale, with_gt, seed, part)
        progress = tqdm(map_in_order(job.run, clips, workers or default_workers()), out.name, unit='clip', disable=None)
        count = sum(progress)
        _remove_marks(part / '.done')
    return count


def _by_clip(frames: Iterator[Frame]) -> Iterator[tuple[str, Iterator[Frame], int]]:
    for clip, group in groupby(frames, key=lambda frame: frame[0].rpartition('/')[0]):
        listed = list(group)
        yield clip, iter(listed), len(listed)


def _remove_marks(folder: Path) -> None:
    for path in sorted(folder.rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.is_dir():
        folder.rmdir()
