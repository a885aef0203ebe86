"""Names of clips and frames: which files are images, in which order they come, and lists of clips."""

import re
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.compat.text_lists import read_list
from gsm_plugin.errors import UserError

# What network drives and archives of a Mac put beside clips.
_OF_MACHINES = ('@eaDir', '#recycle', '__MACOSX')
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
    return Path(name).suffix.lower() in IMAGE_SUFFIXES and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over: what begins with a dot, and what machines put beside clips."""
    return name.startswith('.') or name in _OF_MACHINES


def natural_key(name: str) -> tuple:
    """Sorting key that puts frame2 before frame10."""
    parts = re.split(r'(\d+)', name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def read_clip_facts(path: str | Path) -> dict[str, ClipFacts]:
    """Reads a meta info file: lines `clip`, or `clip frames (h,w,c)` as BasicSR has them.

    Returns:
        What the lines say of each clip.

    Raises:
        UserError: There is no such file, it is no text in UTF-8, names no clip, names one twice, or a line has another
            form. The text has the file, the line and the cure.
    """
    path = Path(path).expanduser()
    lines: dict[str, int] = {}
    clips: dict[str, ClipFacts] = {}
    for number, line in read_list(path):
        clip, facts = _parse_line(line, f'{path}, line {number}')
        if clip in clips:
            raise UserError(f'{path}, line {number} names clip {clip} again, after line {lines[clip]}; remove one.')
        lines[clip], clips[clip] = number, facts
    if not clips:
        raise UserError(f'{path} names no clip; write one folder name per line.')
    return clips


def _parse_line(line: str, where: str) -> tuple[str, ClipFacts]:
    match = re.fullmatch(r'(.+?)\s+(\d+)\s+\((?:\s*(\d+)\s*,\s*(\d+))?[\d,\s]*\)', line)
    if match is None:
        if '\t' in line or re.search(r'\([^()]*,[^()]*\)$', line):
            raise UserError(f'{where} is {line!r}; a line looks like "000" or "000 100 (720,1280,3)".')
        return _plain_path(line), ClipFacts()
    size = (int(match[3]), int(match[4])) if match[3] else None
    return _plain_path(match[1]), ClipFacts(int(match[2]), size)


def _plain_path(name: str) -> str:
    """Without the slash that shells put behind the names of folders."""
    return name.rstrip('/') or name


def read_clip_list(path: str | Path) -> dict[str, int | None]:
    """Number of frames that a meta info file gives each clip, None where it gives none; see `read_clip_facts`."""
    return {clip: facts.frames for clip, facts in read_clip_facts(path).items()}
