"""How the scenes of a film are found: by a detector, or from a list of cuts that is read here."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.timing import read_seconds

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
        raise UserError(f'the list of cuts {path} is missing; correct --cuts.')
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f'the list of cuts {path} cannot be read as text; correct --cuts.') from error
    cuts: list[tuple[str, int | float]] = []
    for number, line in enumerate(lines, 1):
        word, where = line.partition('#')[0].strip(), f'line {number} of {path}'
        if word:
            cuts.append((where, int(word) if word.isdecimal() else read_seconds(word, where)))
    return cuts


def read_cuts(path: Path, stamps: Sequence[float], offset: int = 0) -> list[int]:
    """Where the cuts of a file lie in a film; see `list_cuts`.

    Args:
        path: The file.
        stamps: Seconds of the frames from the film's beginning, in order.
        offset: Number of the first of these frames in the film.

    Returns:
        Indices of frames that begin a scene.

    Raises:
        UserError: As `list_cuts`, or a line has a frame that the film does not have.
    """
    cuts = []
    for where, place in list_cuts(path):
        if isinstance(place, float):
            cuts.append(bisect_left(stamps, place - 1e-6))
        elif place < offset + len(stamps):
            cuts.append(place - offset)
        else:
            raise UserError(f'{where} has frame {place}, but the film has {offset + len(stamps)}; correct it.')
    return cuts
