"""How a data set makes its LQ: by a named degradation of single frames, or as real clips come about."""

from typing import Protocol

import numpy as np

from gsm_plugin.data.bicubic import shrink_bicubic
from gsm_plugin.data.degradations import check_degradation, degrade
from gsm_plugin.data.degrading import real
from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.degradation_section import Degradation
from gsm_plugin.options.declared.sections import read_key


class Recipe(Protocol):
    """How the LQ of one clip is made; all that is random about the clip as a whole has been drawn."""

    @property
    def lead_in(self) -> int:
        """How many frames before the clip have a part in it."""

    def __call__(self, gt: np.ndarray) -> np.ndarray:
        """Makes LQ.

        Args:
            gt: (t, h, w, 3), uint8, BGR, both sides multiples of the scale.

        Returns:
            (t, h / scale, w / scale, 3), uint8, BGR.
        """


class LowResolution(Protocol):
    """Makes the LQ of a data set.

    Attributes:
        margin: LQ pixels that are computed around a crop, since what lies beside it has a part in it.
    """

    margin: int

    def draw(self, rng: np.random.Generator) -> Recipe:
        """Draws how the LQ of the next clip is made."""


class FrameByFrame:
    """LQ made of each frame by itself, as test sets have it: a `LowResolution` and its only `Recipe`.

    Args:
        kind: A name of `degradations.DEGRADATIONS`.
        scale: GT side over LQ side.
    """

    margin = 4
    lead_in = 0

    def __init__(self, kind: str, scale: int):
        check_degradation(kind, scale)
        self._kind, self._scale = kind, scale

    def draw(self, rng: np.random.Generator) -> Recipe:
        """See `LowResolution`; nothing is random here."""
        return self

    def __call__(self, gt: np.ndarray) -> np.ndarray:
        """See `Recipe`."""
        return np.stack([self._frame(frame) for frame in gt])

    def _frame(self, frame: np.ndarray) -> np.ndarray:
        if self._kind == 'bi':
            return np.rint(shrink_bicubic(frame, self._scale)).clip(0, 255).astype(np.uint8)
        return degrade(frame, self._kind, self._scale)


def low_resolution(opt: dict, title: str) -> LowResolution:
    """What makes the LQ of a data set.

    Args:
        opt: The options of the set: `scale`, and the section `degradation`.
        title: What messages call the set.

    Raises:
        UserError: An option is wrong.
    """
    section = opt.get('degradation')
    if not isinstance(section, dict):
        raise UserError(f'{title}: degradation is {section!r}; write a section, such as {{kind: bi}}.')
    kind = read_key(Degradation, 'kind', section, f'{title}: degradation:')
    if kind == 'real':
        return real.RealDegradation(section, opt['scale'], title)
    if more := [key for key in section if key != 'kind']:
        raise UserError(f'{title}: degradation:{more[0]} is for kind: real, but kind is {kind}; take one of them out.')
    return FrameByFrame(kind, opt['scale'])
