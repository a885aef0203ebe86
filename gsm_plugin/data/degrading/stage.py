"""One pass of blur, resize, noise and JPEG, as options describe it; a degradation has two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gsm_plugin.data.checked_options import CheckedOptions
from gsm_plugin.data.degrading import steps
from gsm_plugin.data.degrading.drift import Drift
from gsm_plugin.data.degrading.steps import Step

_MEANINGS = {
    'blur_prob': 'Probability of blur',
    'blur_kernels': f'How often each kernel is drawn, as weights of {", ".join(steps.KERNELS)}',
    'blur_size': 'Range of the side of the kernel, pixels',
    'blur_sigma': 'Range of its standard deviations, pixels',
    'resize_prob': 'Probability of a resize',
    'resize': 'Range of its factor',
    'resize_filters': f'How often each filter is drawn, as weights of {", ".join(steps.FILTERS)}',
    'noise_prob': 'Probability of noise',
    'noise_gaussian': 'Range of the standard deviation of Gaussian noise, levels of 255',
    'noise_poisson': 'Range of the strength of Poisson noise, at which 1 gives white 16 levels of deviation',
    'noise_poisson_prob': 'Probability that noise is Poisson and not Gaussian',
    'noise_gray_prob': 'Probability that noise is the same in all channels',
    'jpeg_prob': 'Probability of JPEG',
    'jpeg_quality': 'Range of its quality',
}

# Of RealBasicVSR's configuration for training.
_KERNEL_WEIGHTS = dict(zip(steps.KERNELS, (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1), strict=True))
_SHARED: dict[str, Any] = {
    'blur_kernels': _KERNEL_WEIGHTS,
    'blur_size': (7, 21),
    'resize_filters': dict.fromkeys(steps.FILTERS, 1.0),
    'noise_prob': 1.0,
    'noise_poisson_prob': 0.5,
    'noise_gray_prob': 0.4,
    'jpeg_prob': 1.0,
    'jpeg_quality': (30, 95),
}
DEFAULTS: dict[str, dict[str, Any]] = {
    'first': _SHARED
    | {'blur_prob': 1.0, 'blur_sigma': (0.2, 3), 'resize_prob': 0.9, 'resize': (0.15, 1.5)}
    | {'noise_gaussian': (1, 30), 'noise_poisson': (0.05, 3)},
    'second': _SHARED
    | {'blur_prob': 0.8, 'blur_sigma': (0.2, 1.5), 'resize_prob': 0.7, 'resize': (0.3, 1.2)}
    | {'noise_gaussian': (1, 25), 'noise_poisson': (0.05, 2.5)},
}


def stage_keys(name: str) -> dict[str, str]:
    """The keys of a stage and what they mean."""
    of = {'first': 'the size of GT', 'second': 'the size of LQ'}[name]
    return {
        f'degradation:{name}:{key}': f'{meaning}{f" relative to {of}" if key == "resize" else ""}, default '
        f'{_shown(DEFAULTS[name][key])}.'
        for key, meaning in _MEANINGS.items()
    }


@dataclass(frozen=True)
class Stage:
    """The checked options of a stage; see `stage_keys`."""

    blur_prob: float
    blur_kernels: dict[str, float]
    blur_size: tuple[float, float]
    blur_sigma: tuple[float, float]
    resize_prob: float
    resize: tuple[float, float]
    resize_filters: dict[str, float]
    noise_prob: float
    noise_gaussian: tuple[float, float]
    noise_poisson: tuple[float, float]
    noise_poisson_prob: float
    noise_gray_prob: float
    jpeg_prob: float
    jpeg_quality: tuple[float, float]

    @classmethod
    def read(cls, checked: CheckedOptions, name: str) -> 'Stage':
        """Reads the section of a stage.

        Raises:
            UserError: A value is wrong.
        """
        defaults = DEFAULTS[name]
        limits = {'blur_size': (3, 51), 'blur_sigma': (0.05, 20), 'resize': (0.05, 4), 'jpeg_quality': (1, 100)}
        values: dict[str, Any] = {
            key: checked.number(key, defaults[key], 0, 1) for key in _MEANINGS if key.endswith('_prob')
        }
        for key, choices in (('blur_kernels', steps.KERNELS), ('resize_filters', tuple(steps.FILTERS))):
            values[key] = checked.weights(key, defaults[key], choices)
        for key in ('blur_size', 'blur_sigma', 'resize', 'jpeg_quality', 'noise_gaussian', 'noise_poisson'):
            values[key] = checked.span(key, defaults[key], *limits.get(key, (0, 255)))
        return cls(**values)

    def draw(self, width: int, height: int, drift: Drift, rng: np.random.Generator) -> list[Step]:
        """Draws what is done to the frames of a clip.

        Args:
            width: Of the frame to which `resize` is relative, pixels.
            height: Likewise.
            drift: Of the parameters.
            rng: Source of randomness.
        """
        drawn = []
        if rng.uniform() < self.blur_prob:
            kind = steps.draw_name(self.blur_kernels, rng)
            drawn.append(steps.draw_blur(kind, _odd(self.blur_size, rng), self.blur_sigma, drift, rng))
        if rng.uniform() < self.resize_prob:
            name = steps.draw_name(self.resize_filters, rng)
            drawn.append(steps.draw_resize(_factor(self.resize, rng), width, height, name))
        if rng.uniform() < self.noise_prob:
            gray = rng.uniform() < self.noise_gray_prob
            if rng.uniform() < self.noise_poisson_prob:
                drawn.append(steps.draw_poisson_noise(self.noise_poisson, gray, drift, rng))
            else:
                drawn.append(steps.draw_gaussian_noise(self.noise_gaussian, gray, drift, rng))
        if rng.uniform() < self.jpeg_prob:
            drawn.append(steps.draw_jpeg(self.jpeg_quality, drift, rng))
        return drawn


def _odd(limits: tuple[float, float], rng: np.random.Generator) -> int:
    return 2 * int(rng.integers(int(limits[0] // 2), int(limits[1] // 2) + 1)) + 1


def _factor(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Smaller and larger with the same probability, where the range has both."""
    low, high = limits
    if low < 1 < high:
        return rng.uniform(low, 1) if rng.uniform() < 0.5 else rng.uniform(1, high)
    return rng.uniform(low, high)


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
