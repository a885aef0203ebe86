"""Names of clips and frames: which files are images, in which order they come, and lists of clips."""

import re
from pathlib import Path

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


def is_image_name(name: str) -> bool:
    """Whether a file name is a visible image's."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith('.')


def natural_key(name: str) -> tuple:
    """Sorting key that puts frame2 before frame10."""
    parts = re.split(r'(\d+)', name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def read_clip_list(path: str | Path) -> dict[str, int | None]:
    """Reads a meta info file: lines `clip`, or `clip frames (h,w,c)` as BasicSR has them.

    Returns:
        Number of frames of each clip, None where the line has only a name.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'meta_info_file {path} does not exist; correct its path in the option file.')
    clips: dict[str, int | None] = {}
    for line in filter(str.strip, path.read_text().splitlines()):
        match = re.fullmatch(r'(.+) (\d+) \([\d,\s]*\)', line.strip())
        clips.update({match[1]: int(match[2])} if match else {line.strip(): None})
    if not clips:
        raise ValueError(f'meta_info_file {path} names no clip; write one folder name per line.')
    return clips
