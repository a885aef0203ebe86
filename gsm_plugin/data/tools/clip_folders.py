"""Clips below a folder, however deep: every folder that holds images is one."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gsm_plugin.data.clip_names import IMAGE_SUFFIXES, ClipFacts, is_hidden, is_image_name, natural_key, read_clip_facts
from gsm_plugin.errors import UserError


@dataclass
class ClipFolder:
    """A folder of frames.

    Attributes:
        images: File names of its frames, in natural order.
        others: File names that are no images.
    """

    images: list[str]
    others: list[str]


def find_clips(root: Path) -> dict[str, ClipFolder]:
    """Lists the clips below a folder in natural order; hidden files and folders are passed over.

    Args:
        root: The folder.

    Returns:
        Each clip keyed by its path below the root, such as `000` or `00001/0001`, or `.` where the root itself holds
        images.

    Raises:
        UserError: The root is no folder, or there is no image below it.
    """
    if root.suffix == '.lmdb':
        raise UserError(f'{root} is an LMDB, not a folder of images; see basicsr data lmdb verify.')
    if not root.is_dir():
        raise UserError(f'the folder {root} does not exist; correct its path.')
    found = {}
    # Data sets of 90,000 folders take minutes on a network disk.
    walk = os.walk(root, onerror=_refuse, followlinks=True)
    for folder, folders, files in tqdm(walk, desc=f'looking into {root.name}', unit=' folder', delay=2):
        folders[:] = [name for name in folders if not is_hidden(name) and not _leads_back(Path(folder, name))]
        visible = [name for name in files if not is_hidden(name)]
        images = [name for name in visible if is_image_name(name)]
        if images:
            name = Path(folder).relative_to(root).as_posix()
            found[name] = ClipFolder(sorted(images, key=natural_key), sorted(set(visible) - set(images)))
    if not found:
        raise UserError(f'{root} has no images ({" ".join(IMAGE_SUFFIXES)}) at any depth; correct its path.')
    return {name: found[name] for name in sorted(found, key=natural_key)}


def find_empty(root: Path, clips: Iterable[str]) -> Iterator[str]:
    """Sentences about folders directly below a folder that are no clips and hold none; data sets refuse them.

    Args:
        root: The folder.
        clips: The clips below it, as `find_clips` has them.
    """
    used = {clip.split('/')[0] for clip in clips}
    for name in sorted(os.listdir(root)):
        if name not in used and not is_hidden(name) and (root / name).is_dir():
            yield f'{root / name} has no images; remove it, or name the wanted folders in meta_info_file.'


def _leads_back(folder: Path) -> bool:
    """Whether it is a link to a folder that it lies in, which would be walked through without end."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath(folder.name).parents


def _refuse(error: OSError) -> None:
    raise UserError(f'the folder {error.filename} cannot be read ({error.strerror}); correct its permissions.')


def read_wanted(clip_list: Path) -> dict[str, ClipFacts]:
    """Reads a list of clips: lines `clip` or `clip frames (h,w,c)`.

    Raises:
        UserError: There is no such file, or it is empty.
    """
    return read_clip_facts(clip_list)


def select_clips(found: dict[str, ClipFolder], root: Path, clip_list: Path | None) -> dict[str, ClipFolder]:
    """Takes the clips that a list names, in the order of the list, or all where there is none.

    Raises:
        UserError: A clip of the list is not there.
    """
    if clip_list is None:
        return found
    wanted = read_wanted(clip_list)
    for name in wanted:
        if name not in found:
            raise UserError(f'clip {name} of {clip_list} is missing in {root}; add it, or take it out of the list.')
    return {name: found[name] for name in wanted}
