"""The steps of a degradation, each drawn once for a clip and then done to every frame of it.

The kernels are those of Real-ESRGAN (arXiv 2107.10833), which RealBasicVSR (arXiv 2111.12704) takes too.
"""

from collections.abc import Callable

import cv2
import numpy as np
from basicsr.data import degradations as kernels

from gsm_plugin.data.degrading.drift import Drift

# Takes a frame (h, w, 3), uint8, BGR, and its time in the clip from 0 to 1.
Step = Callable[[np.ndarray, float], np.ndarray]

FILTERS = {'bilinear': cv2.INTER_LINEAR, 'area': cv2.INTER_AREA, 'bicubic': cv2.INTER_CUBIC}
# From this side on, OpenCV filters small integers faster than floats.
_LARGE_KERNEL = 11


def draw_name(weights: dict[str, float], rng: np.random.Generator) -> str:
    """Draws a name by its weight."""
    shares = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=shares / shares.sum()))


def draw_blur(kind: str, size: int, sigma: tuple[float, float], drift: Drift, rng: np.random.Generator) -> Step:
    """Draws a blur.

    Args:
        kind: Its name; see `options.declared.degradation_section.KERNELS`.
        size: Side of the kernel, odd.
        sigma: Range of the standard deviations, pixels; sinc has a cut-off frequency instead.
        drift: Of the standard deviations, the angle and the frequency.
        rng: Source of randomness.
    """
    if kind == 'sinc':
        lowest = np.pi / 3 if size < 13 else np.pi / 5
        cutoff = drift.draw((lowest, np.pi), rng)
        return lambda frame, time: _filter(frame, _sinc(cutoff.at(time), size))
    across, along = drift.draw(sigma, rng), drift.draw(sigma, rng)
    angle, shape = drift.draw((-np.pi, np.pi), rng), rng.uniform(0.5, 2) if 'plateau' in kind else rng.uniform(0.5, 4)

    def blur(frame: np.ndarray, time: float) -> np.ndarray:
        place = across.at(time), along.at(time), angle.at(time)
        return _filter(frame, _kernel(kind, size, *place, shape))

    return blur


def draw_resize(factor: float, width: int, height: int, name: str) -> Step:
    """A resize to a part of a size, the same for all frames, or they would jump."""
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return lambda frame, time: cv2.resize(frame, size, interpolation=FILTERS[name])


def draw_gaussian_noise(sigma: tuple[float, float], gray: bool, drift: Drift, rng: np.random.Generator) -> Step:
    """Draws noise of the same strength everywhere, out of a range in levels of 255."""
    strength = drift.draw(sigma, rng)

    def add(frame: np.ndarray, time: float) -> np.ndarray:
        return _to_8_bit(frame + strength.at(time) * _noise(frame, gray, rng))

    return add


def draw_poisson_noise(scale: tuple[float, float], gray: bool, drift: Drift, rng: np.random.Generator) -> Step:
    """Draws noise whose variance is the light, as few photons make it.

    A normal distribution stands for Poisson's, of which it is the limit; drawing that one takes ten times as long.

    Args:
        scale: Range of the strength; at 1, white has a standard deviation of 16 levels of 255.
        gray: Whether all channels get the same noise.
        drift: Of the strength.
        rng: Source of randomness.
    """
    strength = drift.draw(scale, rng)

    def add(frame: np.ndarray, time: float) -> np.ndarray:
        light = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None] if gray else frame
        # As in BasicSR: of v = 256 levels, x has the deviation sqrt(x / v), times the scale.
        deviation = strength.at(time) * 255 * np.sqrt(light.astype(np.float32) / (255 * 256))
        return _to_8_bit(frame + deviation * _noise(frame, gray, rng))

    return add


def draw_jpeg(quality: tuple[float, float], drift: Drift, rng: np.random.Generator) -> Step:
    """Draws a compression of single frames."""
    level = drift.draw(quality, rng)

    def compress(frame: np.ndarray, time: float) -> np.ndarray:
        _, content = cv2.imencode('.jpg', frame, [cv2.IMWRITE_JPEG_QUALITY, round(level.at(time))])
        decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded

    return compress


def _sinc(cutoff: float, size: int) -> np.ndarray:
    # BasicSR divides by zero in the middle, and then puts the limit there.
    with np.errstate(invalid='ignore'):
        return kernels.circular_lowpass_kernel(cutoff, size)


def _kernel(kind: str, size: int, across: float, along: float, angle: float, shape: float) -> np.ndarray:
    is_round = kind.endswith('iso') and not kind.endswith('aniso')
    if kind.startswith('generalized'):
        return kernels.bivariate_generalized_Gaussian(size, across, along, angle, shape, isotropic=is_round)
    if kind.startswith('plateau'):
        return kernels.bivariate_plateau(size, across, along, angle, shape, isotropic=is_round)
    return kernels.bivariate_Gaussian(size, across, along, angle, isotropic=is_round)


def _filter(frame: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    source = frame if len(kernel) >= _LARGE_KERNEL else frame.astype(np.float32)
    blurred = cv2.filter2D(source, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return blurred if blurred.dtype == np.uint8 else _to_8_bit(blurred)


def _noise(frame: np.ndarray, gray: bool, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((*frame.shape[:2], 1 if gray else 3), dtype=np.float32)


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)
