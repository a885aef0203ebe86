"""LQ as real clips come about: blur, resize, noise and JPEG, all of it again, and a video codec over the whole clip.

The order is that of RealBasicVSR (arXiv 2111.12704).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from gsm_plugin.data.bicubic import shrink_bicubic
from gsm_plugin.data.degrading import steps
from gsm_plugin.data.degrading.codecs import Encoding, check_pyav, recode
from gsm_plugin.data.degrading.drift import Drift
from gsm_plugin.data.degrading.stage import Stage
from gsm_plugin.data.degrading.steps import Step
from gsm_plugin.options.declared.degradation_section import Real


@dataclass(frozen=True)
class RealRecipe:
    """How the LQ of one clip is made; see `low_resolution.Recipe`.

    Attributes:
        scale: GT side over LQ side.
        lead_in: How many frames before the clip have a part in it.
        stages: The two passes.
        drift: Of their parameters.
        filter: Name of that of the last resize.
        last: Steps after it.
        encoding: What the codec does, or None.
        rng: Source of what is random in every frame.
    """

    scale: int
    lead_in: int
    stages: tuple[Stage, ...]
    drift: Drift
    filter: str
    last: list[Step]
    encoding: Encoding | None
    rng: np.random.Generator

    def __call__(self, gt: np.ndarray) -> np.ndarray:
        """See `low_resolution.Recipe`."""
        return np.stack(list(self.stream(gt, len(gt))))

    def stream(self, frames: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
        """Makes LQ frame by frame.

        Args:
            frames: (h, w, 3), uint8, BGR, both sides multiples of scale.
            count: How many there are, which is how long parameters take to drift.

        Yields:
            (h / scale, w / scale, 3), uint8, BGR.
        """
        lq = self._without_codec(frames, count)
        return lq if self.encoding is None else recode(lq, self.encoding)

    def _without_codec(self, frames: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
        drawn: list[Step] | None = None
        for number, frame in enumerate(frames):
            time, size = (
                min(number / max(count - 1, 1), 1.0),
                (frame.shape[1] // self.scale, frame.shape[0] // self.scale),
            )
            if drawn is None:
                drawn = self._draw_steps(frame.shape[1], frame.shape[0])
            for step in drawn:
                frame = step(frame, time)
            frame = _fit(frame, size, self.filter, self.scale)
            for step in self.last:
                frame = step(frame, time)
            yield frame

    def _draw_steps(self, width: int, height: int) -> list[Step]:
        sizes = ((width, height), (width // self.scale, height // self.scale))
        return [
            step
            for stage, size in zip(self.stages, sizes, strict=False)
            for step in stage.draw(*size, self.drift, self.rng)
        ]


class RealDegradation:
    """Draws how LQ comes about; a `LowResolution`, see `options.declared.degradation_section`.

    Args:
        section: The options of the section `degradation`.
        scale: GT side over LQ side.
        title: What messages call the data set.

    Raises:
        UserError: An option is wrong.
    """

    def __init__(self, section: dict, scale: int, title: str):
        self._scale = scale
        self._options = own = Real.read(section, f'{title}: degradation:')
        self._drift = Drift(own.drift_prob, own.drift)
        self._stages = Stage(own.first), Stage(own.second)
        self.margin = own.codec.margin
        if own.codec.prob:
            check_pyav()

    def draw(self, rng: np.random.Generator) -> RealRecipe:
        """See `LowResolution`."""
        if rng.uniform() < self._options.bicubic_prob:
            return RealRecipe(self._scale, 0, (), self._drift, 'matlab', [], None, rng)
        encoding, lead_in = self._draw_encoding(rng) if rng.uniform() < self._options.codec.prob else (None, 0)
        name, last = steps.draw_name(self._options.final_filters, rng), []
        if rng.uniform() < self._options.final_sinc_prob:
            last.append(steps.draw_blur('sinc', 2 * int(rng.integers(3, 11)) + 1, (1, 1), self._drift, rng))
        return RealRecipe(self._scale, lead_in, self._stages, self._drift, name, last, encoding, rng)

    def _draw_encoding(self, rng: np.random.Generator) -> tuple[Encoding, int]:
        own = self._options.codec
        codec = steps.draw_name(own.codecs, rng)
        crf = None if rng.uniform() < own.bitrate_prob else rng.uniform(*getattr(own, f'crf_{codec}'))
        bitrate = float(np.exp(rng.uniform(*np.log(own.bitrate))))
        gop, lead_in = (int(rng.integers(int(low), int(high) + 1)) for low, high in (own.gop, own.lead_in))
        return Encoding(codec, crf, bitrate, gop), lead_in


def _fit(frame: np.ndarray, size: tuple[int, int], name: str, scale: int) -> np.ndarray:
    """Resizes to the size of LQ; MATLAB's bicubic is defined from GT's size alone, and elsewhere OpenCV's stands in."""
    if name != 'matlab':
        return cv2.resize(frame, size, interpolation=steps.FILTERS[name])
    if frame.shape[:2] == (size[1] * scale, size[0] * scale):
        return np.rint(shrink_bicubic(frame, scale)).clip(0, 255).astype(np.uint8)
    filters = cv2.INTER_AREA if frame.shape[1] > size[0] else cv2.INTER_CUBIC
    return cv2.resize(frame, size, interpolation=filters)
