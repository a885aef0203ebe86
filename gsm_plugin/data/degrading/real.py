"""LQ as real clips come about: blur, resize, noise and JPEG, all of it again, and a video codec over the whole clip.

The order is that of RealBasicVSR (arXiv 2111.12704).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from gsm_plugin.data.bicubic import shrink_bicubic
from gsm_plugin.data.checked_options import CheckedOptions
from gsm_plugin.data.degrading import steps
from gsm_plugin.data.degrading.codecs import CODECS, Encoding, check_pyav, recode
from gsm_plugin.data.degrading.drift import Drift
from gsm_plugin.data.degrading.stage import Stage, stage_keys
from gsm_plugin.data.degrading.steps import Step

_CODEC = 'degradation:codec:'
_FILTERS = ('matlab', *steps.FILTERS)
_CODEC_DEFAULTS = {'crf_h264': (15, 35), 'crf_h265': (17, 37), 'crf_mpeg4': (2, 15), 'crf_vp9': (20, 50)}

OPTION_KEYS = {
    'degradation:bicubic_prob': 'Probability that LQ is MATLAB bicubic and nothing else, default 0.',
    'degradation:drift_prob': 'Probability that a parameter drifts through a clip and is not constant, default 0.5.',
    'degradation:drift': 'How far one drifts at most, as a part of its range, default 0.2.',
    **stage_keys('first'),
    **stage_keys('second'),
    'degradation:final_filters': f'How often each filter for the last resize, to the size of LQ, is drawn, as weights '
    f'of {", ".join(_FILTERS)}, default {{matlab: 1, bilinear: 1, area: 1, bicubic: 1}}.',
    'degradation:final_sinc_prob': 'Probability of a sinc filter after it, default 0.',
    f'{_CODEC}prob': 'Probability of a video codec, default 0.8.',
    f'{_CODEC}codecs': f'How often each is drawn, as weights of {", ".join(CODECS)}, default all alike.',
    **{
        f'{_CODEC}crf_{name}': f'Range of the constant quality ({"quantiser" if name == "mpeg4" else "crf"}) of '
        f'{name}, default {list(_CODEC_DEFAULTS[f"crf_{name}"])}.'
        for name in CODECS
    },
    f'{_CODEC}bitrate_prob': 'Probability that a bitrate is kept to and no constant quality, default 0.2.',
    f'{_CODEC}bitrate': 'Range of the bitrate, bits a pixel, default [0.05, 0.5].',
    f'{_CODEC}gop': 'Range of the frames from one key frame to the next, default [12, 250].',
    f'{_CODEC}lead_in': 'Range of the frames that are encoded before a clip, default [0, 6].',
    f'{_CODEC}margin': 'LQ pixels around a crop that are degraded and encoded with it, default 12.',
}


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
    """Draws how LQ comes about; a `LowResolution`, see `OPTION_KEYS`.

    Args:
        section: The options of the section `degradation`.
        scale: GT side over LQ side.
        title: What messages call the data set.

    Raises:
        UserError: An option is wrong.
    """

    def __init__(self, section: dict, scale: int, title: str):
        self._scale = scale
        own = CheckedOptions(section, title, OPTION_KEYS, 'degradation:')
        self._bicubic_prob = own.number('bicubic_prob', 0, 0, 1)
        self._drift = Drift(own.number('drift_prob', 0.5, 0, 1), own.number('drift', 0.2, 0, 1))
        self._filters = own.weights('final_filters', dict.fromkeys(_FILTERS, 1.0), _FILTERS)
        self._sinc_prob = own.number('final_sinc_prob', 0, 0, 1)
        self._stages = tuple(Stage.read(own.section(name), name) for name in ('first', 'second'))
        self._read_codec(own.section('codec'))

    def _read_codec(self, checked: CheckedOptions) -> None:
        self._codec_prob = checked.number('prob', 0.8, 0, 1)
        if self._codec_prob:
            check_pyav()
        self._codecs = checked.weights('codecs', dict.fromkeys(CODECS, 1.0), tuple(CODECS))
        self._crf = {
            name: checked.span(f'crf_{name}', _CODEC_DEFAULTS[f'crf_{name}'], *codec.crf)
            for name, codec in CODECS.items()
        }
        self._bitrate_prob = checked.number('bitrate_prob', 0.2, 0, 1)
        self._bitrate = checked.span('bitrate', (0.05, 0.5), 0.001, 24)
        self._gop = checked.span('gop', (12, 250), 1, 10000)
        self._lead_in = checked.span('lead_in', (0, 6), 0, 100)
        self.margin = checked.whole('margin', 12, 0)

    def draw(self, rng: np.random.Generator) -> RealRecipe:
        """See `LowResolution`."""
        if rng.uniform() < self._bicubic_prob:
            return RealRecipe(self._scale, 0, (), self._drift, 'matlab', [], None, rng)
        encoding, lead_in = self._draw_encoding(rng) if rng.uniform() < self._codec_prob else (None, 0)
        name, last = steps.draw_name(self._filters, rng), []
        if rng.uniform() < self._sinc_prob:
            last.append(steps.draw_blur('sinc', 2 * int(rng.integers(3, 11)) + 1, (1, 1), self._drift, rng))
        return RealRecipe(self._scale, lead_in, self._stages, self._drift, name, last, encoding, rng)

    def _draw_encoding(self, rng: np.random.Generator) -> tuple[Encoding, int]:
        codec = steps.draw_name(self._codecs, rng)
        crf = None if rng.uniform() < self._bitrate_prob else rng.uniform(*self._crf[codec])
        bitrate = float(np.exp(rng.uniform(*np.log(self._bitrate))))
        gop, lead_in = (int(rng.integers(int(low), int(high) + 1)) for low, high in (self._gop, self._lead_in))
        return Encoding(codec, crf, bitrate, gop), lead_in


def _fit(frame: np.ndarray, size: tuple[int, int], name: str, scale: int) -> np.ndarray:
    """Resizes to the size of LQ; MATLAB's bicubic is defined from GT's size alone, and elsewhere OpenCV's stands in."""
    if name != 'matlab':
        return cv2.resize(frame, size, interpolation=steps.FILTERS[name])
    if frame.shape[:2] == (size[1] * scale, size[0] * scale):
        return np.rint(shrink_bicubic(frame, scale)).clip(0, 255).astype(np.uint8)
    filters = cv2.INTER_AREA if frame.shape[1] > size[0] else cv2.INTER_CUBIC
    return cv2.resize(frame, size, interpolation=filters)
