"""LQ copies of clips by a named degradation."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gsm_plugin.compat.image_files import read_file, read_header
from gsm_plugin.data.degradations import check_degradation, degrade
from gsm_plugin.data.paired_clips import size_text
from gsm_plugin.data.parallel import default_workers, map_in_order
from gsm_plugin.data.tools.clip_folders import find_clips
from gsm_plugin.data.tools.images import inspect_pixels, say_if_alpha
from gsm_plugin.data.tools.lmdb_writer import encode_png
from gsm_plugin.data.videos import announced_frames, crop_to_multiple, decode_video
from gsm_plugin.errors import UserError
from gsm_plugin.files import fingerprint, refuse_existing, resumed_folder, write_whole

# Name of a frame's file below the folder to make, and what reads it: (h, w, 3), uint8 or uint16, BGR.
Frame = tuple[str, Callable[[], np.ndarray]]
# Height and width of a frame, before and after it was cut.
Cut = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class _Job:
    """What is done to every frame."""

    kind: str
    scale: int
    with_gt: bool
    part: Path

    def run(self, frame: Frame) -> Cut | None:
        """Writes the files of a frame that are not there yet; what was cut off them, if anything."""
        name, read = frame
        targets = {kind: self.part / kind / name for kind in ('GT', 'LQ')}
        if not self.with_gt:
            targets = {'LQ': self.part / name}
        if all(path.is_file() for path in targets.values()):
            return None
        image = read()
        gt = fit_to_scale(image, name, self.scale, self.with_gt)
        images = {'GT': gt, 'LQ': degrade(gt, self.kind, self.scale)}
        for kind, path in targets.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, encode_png(images[kind]))
        return (image.shape[:2], gt.shape[:2]) if gt.shape != image.shape else None


def fit_to_scale(image: np.ndarray, name: str, scale: int, may_cut: bool) -> np.ndarray:
    """Cuts a frame (h, w, 3) on the right and below to a multiple of the scale.

    Raises:
        UserError: Something would be cut off though it may not, or nothing would be left.
    """
    fitting = crop_to_multiple(image, scale)
    if fitting.size == 0 or (fitting.shape != image.shape and not may_cut):
        raise UserError(
            f'{name} has {image.shape[0]}x{image.shape[1]} pixels, which scale {scale} does not divide; '
            f'write GT cut to fit beside LQ with --with-gt, or take another scale.'
        )
    return fitting


def check_out(source: Path, out: Path) -> None:
    """Refuses a folder to make that is there, or that would lie among the clips, as one of them.

    Raises:
        UserError: It does.
    """
    refuse_existing(out)
    if source.resolve() in out.resolve().parents:
        raise UserError(f'{out} would lie in {source}, whose clips its own would be taken for; name a place outside.')


def read_frames(source: Path) -> tuple[dict[str, Path], Iterator[Frame], int | None]:
    """What is to be degraded: the files, the frames in order, and their number where it is known.

    Raises:
        UserError: There are no images, some would have the same copy, or frames of a clip have several sizes.
    """
    if source.is_file():
        return {source.name: source}, _video_frames(source), announced_frames(source)
    files = _list_images(source)
    _refuse_several_sizes(files.values())
    return files, _folder_frames(files), len(files)


def degrade_clips(
    source: Path,
    out: Path,
    kind: str,
    scale: int = 4,
    with_gt: bool = False,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Makes LQ frames out of GT frames, under the same names, as PNG.

    All is built in `<out>.part`, which becomes `out` when it is whole; an interrupted run leaves it there, and the next
    one goes on from it if the source and the degradation are still the same.

    Args:
        source: Folder of clips at any depth or of images, or a video, which becomes a clip of its name.
        out: Folder to make.
        kind: Name of the degradation, one of `degradations.DEGRADATIONS`.
        scale: GT side over LQ side.
        with_gt: Write `out/GT`, cut on the right and below to a multiple of the scale, beside `out/LQ`. Without it,
            frames that would have to be cut are refused, since LQ would not fit them.
        workers: Number of threads.
        say: Takes a sentence for what was cut off frames, and for frames of a video that cannot be decoded.

    Returns:
        Number of frames.

    Raises:
        UserError: The folder exists or lies in the source, the degradation is not known, the source cannot be read,
            frames of a clip have several sizes, or one does not fit the scale.
    """
    check_out(source, out)
    check_degradation(kind, scale)
    files, frames, total = read_frames(source)
    if not source.is_file():
        say_if_alpha(files.values())
    with resumed_folder(out, fingerprint(f'{kind} {scale} {with_gt}', files)) as part:
        done = map_in_order(_Job(kind, scale, with_gt, part).run, frames, workers or default_workers())
        cuts = list(tqdm(done, out.name, total, unit='frame'))
    for (before, after), count in Counter(filter(None, cuts)).items():
        sizes = f'from {size_text(before)} to {size_text(after)} pixels'
        say(f'{count} of {len(cuts)} frames were cut {sizes}, for the scale.')
    if source.is_file() and total is not None and len(cuts) < total:
        say(f'{source} announces {total} frames but has {len(cuts)} that can be decoded; get it again if it is cut.')
    return len(cuts)


def _list_images(folder: Path) -> dict[str, Path]:
    """The images below a folder by the names that their copies get."""
    images: dict[str, Path] = {}
    for clip, content in find_clips(folder).items():
        for file in content.images:
            path = folder / clip / file
            name = path.relative_to(folder).with_suffix('.png').as_posix()
            if name in images:
                raise UserError(f'{images[name]} and {path} would have the same copy {name}; rename one of them.')
            images[name] = path
    return images


def _refuse_several_sizes(paths: Collection[Path]) -> None:
    """By their headers, before anything is made; networks take clips of one size."""
    headers = zip(paths, map_in_order(read_header, paths, default_workers()), strict=True)
    sizes: dict[Path, tuple[int, int]] = {}
    for path, header in tqdm(headers, 'sizes', len(paths), unit='frame', delay=2):
        before = sizes.setdefault(path.parent, header.size)
        if header.size != before:
            raise UserError(
                f'{path} has {size_text(header.size)} pixels, the frames before it {size_text(before)}; make all '
                f'frames of a clip the same size.'
            )


def _folder_frames(images: dict[str, Path]) -> Iterator[Frame]:
    for name, path in images.items():
        yield name, partial(_read_image, path)


def _video_frames(video: Path) -> Iterator[Frame]:
    for number, image in enumerate(decode_video(video)):
        yield f'{video.stem}/{number:08d}.png', partial(_identity, image)


def _identity(image: np.ndarray) -> np.ndarray:
    return image


def _read_image(path: Path) -> np.ndarray:
    return inspect_pixels(read_file(path), str(path))[1]
