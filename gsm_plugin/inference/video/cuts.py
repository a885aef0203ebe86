"""How the scenes of a film are found: by a detector, or from a list of cuts that is read here."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.timing import read_seconds, show_time
from gsm_plugin.numerals import whole_number

DETECTOR = 'AdaptiveDetector of PySceneDetect'
"""What finds cuts."""

DEFAULT_THRESHOLD = 3.0
"""How many times as much as around it a picture has to change at a cut."""


@dataclass(frozen=True)
class Cuts:
    """How scenes are found.

    Attributes:
        threshold: See `CutFinder`.
        listed: File of cuts, which takes the place of the search.
        never: Whether the film is one scene.
    """

    threshold: float = DEFAULT_THRESHOLD
    listed: Path | None = None
    never: bool = False

    def describe(self) -> str:
        """How cuts are found, in a few words."""
        if self.never:
            return 'not looked for'
        if self.listed is not None:
            return f'from {self.listed}'
        return f'by {DETECTOR}, threshold {self.threshold:g}'


def list_cuts(path: Path) -> list[tuple[str, int | float]]:
    """Cuts as a file has them: one a line, the number of a scene's first frame (from 0) or its time (`1:20.5`).

    Args:
        path: The file; what follows `#` on a line is passed over.

    Returns:
        For each cut what messages call its line, and the number of a frame (int) or seconds (float).

    Raises:
        UserError: The file is missing, no text, or a line is neither a number nor a time.
    """
    if not path.is_file():
        what = 'is no file' if path.exists() else 'is missing'
        raise UserError(f'the list of cuts {path} {what}; correct --cuts.')
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f'the list of cuts {path} cannot be read as text; correct --cuts.') from error
    cuts: list[tuple[str, int | float]] = []
    for number, line in enumerate(lines, 1):
        word, where = line.partition('#')[0].strip(), f'line {number} of {path}'
        if word:
            frame = whole_number(word)
            cuts.append((where, read_seconds(word, where) if frame is None else frame))
    return cuts


def read_cuts(path: Path, stamps: Sequence[float], offset: int = 0, to_the_end: bool = True) -> list[int]:
    """Where the cuts of a file lie in a film; see `list_cuts`.

    Args:
        path: The file.
        stamps: Seconds of the frames from the film's beginning, in order.
        offset: Number of the first of these frames in the film.
        to_the_end: Whether the last of these frames is the film's last; otherwise later cuts are passed over.

    Returns:
        Indices of frames that begin a scene; less than 0 before the first of these frames.

    Raises:
        UserError: As `list_cuts`, or a cut lies behind the film's last frame.
    """
    listed = list_cuts(path)
    if to_the_end:
        check_cuts(listed, offset + len(stamps), stamps[-1])
    return [bisect_left(stamps, place - 1e-6) if isinstance(place, float) else place - offset for _, place in listed]


def check_cuts(cuts: Sequence[tuple[str, int | float]], frames: float, seconds: float) -> None:
    """Refuses cuts that lie behind a film's end.

    Args:
        cuts: See `list_cuts`.
        frames: How many frames the film has; infinite where that is not known.
        seconds: When its last frame is shown, or when it ends; infinite where that is not known.

    Raises:
        UserError: There is one.
    """
    for where, place in cuts:
        if isinstance(place, float) and place > seconds + 1e-6:
            raise UserError(f'{where} has {show_time(place)}, but the film ends at {show_time(seconds)}; correct it.')
        if isinstance(place, int) and place >= frames:
            raise UserError(f'{where} has frame {place}, but the film has {math.floor(frames)}; correct it.')
