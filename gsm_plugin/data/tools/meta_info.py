"""Writing BasicSR's meta info files: `000 100 (720,1280,3)` for clips, `0001.png (480,480,3)` for single images."""

from collections.abc import Collection
from pathlib import Path

from tqdm import tqdm

from gsm_plugin.compat.image_files import read_header
from gsm_plugin.data.layouts import REDS_HELD_OUT
from gsm_plugin.data.parallel import default_workers, map_in_order
from gsm_plugin.data.tools.clip_folders import ClipFolder, find_clips, select_clips
from gsm_plugin.errors import UserError
from gsm_plugin.files import check_place, write_whole


def write_meta_info(
    folder: Path,
    out: Path,
    clip_list: Path | None = None,
    leave_out: Collection[str] = (),
    only: Collection[str] = (),
    workers: int | None = None,
) -> int:
    """Writes the list of clips of a folder, or of its images where it holds images itself.

    The size of a clip is that of its first frame; `check_dataset` compares the others.

    Args:
        folder: Folder of clips, at any depth, or of images.
        out: The text file to write.
        clip_list: File that names the clips to list, such as Vimeo-90K's own lists; None takes all.
        leave_out: Names of clips that are not to be listed, or `REDS4` and `official` for those that BasicSR holds
            out of REDS.
        only: Names of the clips that are to be listed, in this way too; empty for all.
        workers: Number of threads that read headers.

    Returns:
        Number of lines.

    Raises:
        UserError: The file exists or has no folder, a name is not there, has a space, or an image is damaged.
    """
    check_place(out)
    clips = select_clips(find_clips(folder), folder, clip_list)
    if '.' in clips:
        if len(clips) > 1:
            other = next(clip for clip in clips if clip != '.')
            raise UserError(
                f'{folder} has images ({clips["."].images[0]}) beside folders of images ({other}); move the images.'
            )
        if leave_out or only:
            raise UserError(f'{folder} is no folder of clips but of images, of which none can be left out by name.')
        paths = {name: folder / name for name in clips['.'].images}
    else:
        clips = _choose(clips, leave_out, only, folder)
        paths = {f'{clip} {len(content.images)}': folder / clip / content.images[0] for clip, content in clips.items()}
        _refuse_spaces(clips, folder)
    headers = map_in_order(read_header, paths.values(), workers or default_workers())
    bar = tqdm(headers, desc=out.name, total=len(paths), unit='line')
    lines = [f'{start} ({one.height},{one.width},{one.channels})\n' for start, one in zip(paths, bar, strict=True)]
    write_whole(out, ''.join(lines).encode())
    return len(lines)


def _choose(
    clips: dict[str, ClipFolder], leave_out: Collection[str], only: Collection[str], folder: Path
) -> dict[str, ClipFolder]:
    for names, flag in ((leave_out, 'leave out'), (only, 'list')):
        for name in names:
            if name not in clips and name not in REDS_HELD_OUT:
                raise UserError(f'{folder} has no clip {name} to {flag}; name one that it has, REDS4 or official.')
    unwanted = _spelled_out(leave_out)
    wanted = _spelled_out(only) if only else set(clips)
    left = {clip: content for clip, content in clips.items() if clip in wanted - unwanted}
    if not left:
        raise UserError(f'{folder} has no clips but those to leave out; leave out fewer, or list others.')
    return left


def _spelled_out(names: Collection[str]) -> set[str]:
    return {clip for name in names for clip in REDS_HELD_OUT.get(name, (name,))}


def _refuse_spaces(clips: Collection[str], folder: Path) -> None:
    for clip in clips:
        if ' ' in clip:
            raise UserError(f'{folder / clip} has a space in its name, at which BasicSR cuts lines; rename it.')
