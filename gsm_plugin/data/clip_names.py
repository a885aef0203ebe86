"""Names of clips and frames: which files are images, in which order they come, and lists of clips."""

import re
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.compat import UserError

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class ClipFacts:
    """What is known of a clip.

    Attributes:
        frames: Number of its frames, or None.
        size: Height and width of its ground truth in pixels, or None.
    """

    frames: int | None = None
    size: tuple[int, int] | None = None


def is_image_name(name: str) -> bool:
    """Whether a file name is a visible image's."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith('.')


def natural_key(name: str) -> tuple:
    """Sorting key that puts frame2 before frame10."""
    parts = re.split(r'(\d+)', name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def read_clip_facts(path: str | Path) -> dict[str, ClipFacts]:
    """Reads a meta info file: lines `clip`, or `clip frames (h,w,c)` as BasicSR has them.

    Returns:
        What the lines say of each clip.

    Raises:
        UserError: There is no such file, or it names no clip.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f'meta_info_file {path} does not exist; correct its path in the option file.')
    clips: dict[str, ClipFacts] = {}
    for line in filter(str.strip, path.read_text().splitlines()):
        match = re.fullmatch(r'(.+) (\d+) \((?:(\d+),\s*(\d+))?[\d,\s]*\)', line.strip())
        if match is None:
            clips[line.strip()] = ClipFacts()
        else:
            size = (int(match[3]), int(match[4])) if match[3] else None
            clips[match[1]] = ClipFacts(int(match[2]), size)
    if not clips:
        raise UserError(f'meta_info_file {path} names no clip; write one folder name per line.')
    return clips


def read_clip_list(path: str | Path) -> dict[str, int | None]:
    """Number of frames that a meta info file gives each clip, None where it gives none; see `read_clip_facts`."""
    return {clip: facts.frames for clip, facts in read_clip_facts(path).items()}
