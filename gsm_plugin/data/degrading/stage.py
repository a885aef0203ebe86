"""One pass of blur, resize, noise and JPEG, as options describe it; a degradation has two."""

from dataclasses import dataclass

import numpy as np

from gsm_plugin.data.degrading import steps
from gsm_plugin.data.degrading.drift import Drift
from gsm_plugin.data.degrading.steps import Step
from gsm_plugin.options.declared.degradation_section import First


@dataclass(frozen=True)
class Stage:
    """A pass, with the options that describe it."""

    options: First

    def draw(self, width: int, height: int, drift: Drift, rng: np.random.Generator) -> list[Step]:
        """Draws what is done to the frames of a clip.

        Args:
            width: Of the frame to which `resize` is relative, pixels.
            height: Likewise.
            drift: Of the parameters.
            rng: Source of randomness.
        """
        own, drawn = self.options, []
        if rng.uniform() < own.blur_prob:
            kind = steps.draw_name(own.blur_kernels, rng)
            drawn.append(steps.draw_blur(kind, _odd(own.blur_size, rng), own.blur_sigma, drift, rng))
        if rng.uniform() < own.resize_prob:
            name = steps.draw_name(own.resize_filters, rng)
            drawn.append(steps.draw_resize(_factor(own.resize, rng), width, height, name))
        if rng.uniform() < own.noise_prob:
            gray = rng.uniform() < own.noise_gray_prob
            if rng.uniform() < own.noise_poisson_prob:
                drawn.append(steps.draw_poisson_noise(own.noise_poisson, gray, drift, rng))
            else:
                drawn.append(steps.draw_gaussian_noise(own.noise_gaussian, gray, drift, rng))
        if rng.uniform() < own.jpeg_prob:
            drawn.append(steps.draw_jpeg(own.jpeg_quality, drift, rng))
        return drawn


def _odd(limits: tuple[float, float], rng: np.random.Generator) -> int:
    return 2 * int(rng.integers(int(limits[0] // 2), int(limits[1] // 2) + 1)) + 1


def _factor(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Smaller and larger with the same probability, where the range has both."""
    low, high = limits
    if low < 1 < high:
        return rng.uniform(low, 1) if rng.uniform() < 0.5 else rng.uniform(1, high)
    return rng.uniform(low, high)
