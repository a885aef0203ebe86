"""Making an LMDB out of a folder of clips."""

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gsm_plugin.compat.image_files import read_file
from gsm_plugin.data.parallel import default_workers, map_in_order
from gsm_plugin.data.tools.clip_folders import find_clips, select_clips
from gsm_plugin.data.tools.images import inspect_pixels, say_if_alpha
from gsm_plugin.data.tools.lmdb_writer import PNG_LEVEL, LmdbWriter, encode_png
from gsm_plugin.errors import UserError
from gsm_plugin.files import fingerprint, refuse_existing, resumed_folder

_LONGEST_KEY = 511


@dataclass(frozen=True)
class MadeLmdb:
    """What was done.

    Attributes:
        images: Number of images in the LMDB.
        reused: How many of them an interrupted run had written.
    """

    images: int
    reused: int


def make_lmdb(folder: Path, out: Path, clip_list: Path | None = None, workers: int | None = None) -> MadeLmdb:
    """Makes an LMDB that BasicSR's datasets and `VideoFoldersDataset` read.

    It holds the pixels that are read from the folder: turned as EXIF says, with 16 bits where there are, without alpha.

    It is built in `<out>.part`, which becomes `out` when it is whole. An interrupted run leaves it there without its
    list, so that nothing takes it for an LMDB; the next run goes on from it if the images are still the same.

    Args:
        folder: Folder of clips, at any depth; the key of an image is its path below it without the extension.
        out: The LMDB, a folder whose name ends in `.lmdb`.
        clip_list: File that names the clips to take, as in `meta_info_file` or Vimeo-90K's lists; None takes all.
        workers: Number of threads that read and encode.

    Raises:
        UserError: A place or the list is wrong, an image is damaged, or two images have the same key.
    """
    if out.suffix != '.lmdb':
        raise UserError(f'{out} does not end in .lmdb; BasicSR reads only folders that do, so name it {out}.lmdb.')
    refuse_existing(out)
    images = _list_images(folder, clip_list)
    say_if_alpha(images.values())
    work = fingerprint(f'pixels as read, PNG level {PNG_LEVEL}', images)
    with resumed_folder(out, work) as part, LmdbWriter(part) as writer:
        reused = writer.count
        left = list(images.items())[reused:]
        contents = map_in_order(_encode_file, [path for _, path in left], workers or default_workers())
        bar = tqdm(contents, desc=out.name, total=len(images), initial=reused, unit='image')
        for (key, _), content in zip(left, bar, strict=True):
            writer.put(key, content)
        writer.finish(list(images))
    return MadeLmdb(len(images), reused)


def _list_images(folder: Path, clip_list: Path | None) -> dict[str, Path]:
    clips = select_clips(find_clips(folder), folder, clip_list)
    images: dict[str, Path] = {}
    for clip, content in clips.items():
        for name in content.images:
            path = folder / clip / name
            key = path.relative_to(folder).with_suffix('').as_posix()
            if key in images:
                raise UserError(f'{images[key]} and {path} would have the same key {key}; rename one of them.')
            if not key.isascii() or len(key) > _LONGEST_KEY:
                raise UserError(f'{path} cannot be a key of an LMDB of BasicSR; give it a short name in ASCII letters.')
            images[key] = path
    return images


def _encode_file(path: Path) -> bytes:
    facts, pixels = inspect_pixels(read_file(path), str(path))
    # Grey takes less room as one channel, and is read as three equal ones again.
    return encode_png(pixels[..., 0] if facts.header.channels == 1 else pixels)
