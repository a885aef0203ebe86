"""A check against invention: the result made small again, against the input; and pairs of pictures to look at."""

import math
import threading
from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gsm_plugin.inference.video.treatment import resized
from gsm_plugin.inference.video.windows import Segment

# Below the median of the scenes by so much, or below so much at all, a scene is worth a look; where the median is below
# so much itself, the film is. A median counts for no more than `_PLAIN`: bicubic interpolation, which invents nothing,
# is 36 to 56 dB from real clips.
_FALL, _LEAST, _PLAIN = 6.0, 25.0, 40.0

_CLEAN_BITS = 1.0
_LOSSLESS = (
    'ffv1',
    'huffyuv',
    'ffvhuff',
    'utvideo',
    'rawvideo',
    'png',
    'qtrle',
    'magicyuv',
    'v210',
    'tif',
    'tiff',
    'bmp',
)


@dataclass
class BackProjection:
    """Collects, scene by scene, how far the output made small again is from the input; several threads may add."""

    # Sum of errors and number of frames, by scene and device: to ask a GPU for a number is to wait for it.
    _sums: dict[tuple[int, torch.device], Tensor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, segment: Segment, number: int, seen: Tensor, output: Tensor) -> None:
        """Takes frames.

        Args:
            segment: Where they are from.
            number: Number of the first one in the film.
            seen: (t, 3, h, w), what the network saw.
            output: (t, 3, H, W), what it gave.
        """
        small = resized(output, *seen.shape[-2:])
        squares = torch.mean((small.clamp(0, 1) - seen.clamp(0, 1)) ** 2, dim=(1, 2, 3)).double()
        added = torch.stack((squares.sum(), torch.ones_like(squares).sum()))
        place = segment.scene, squares.device
        with self._lock:
            self._sums[place] = self._sums[place] + added if place in self._sums else added

    def by_scene(self) -> dict[int, float]:
        """PSNR in decibel of each scene of which frames were added."""
        sums: dict[int, Tensor] = {}
        for (scene, _), held in self._sums.items():
            sums[scene] = sums.get(scene, torch.zeros(2, dtype=torch.float64)) + held.cpu()
        return {scene: _decibel(*held.tolist()) for scene, held in sorted(sums.items())}

    def warnings(self) -> list[str]:
        """A sentence for every scene in which the result falls off, and one of the film where its median is low."""
        values = self.by_scene()
        if not values:
            return []
        median = sorted(values.values())[len(values) // 2]
        is_far = median < _LEAST
        least = min(median, _PLAIN) - _FALL
        low = {scene: value for scene, value in values.items() if value < (least if is_far else max(_LEAST, least))}
        film = f'made small again, the output is only {median:.1f} dB from the input'
        film += f' (median of {len(values)} scenes)' if len(values) > 1 else ''
        return [f'{film}; look whether the network invents something'] * is_far + [
            f'scene {scene}: made small again, the output is only {value:.1f} dB from the input (median of the scenes: '
            f'{median:.1f} dB); look whether the network invents something there'
            for scene, value in low.items()
        ]


def _decibel(squares: float, count: float) -> float:
    mean = squares / max(1, count)
    return math.inf if mean == 0 else -10 * math.log10(mean)


def in_words(decibels: Collection[float]) -> str:
    """How far scenes are from the input, for people."""
    least, most = (f'{value:.1f}' for value in (min(decibels), max(decibels)))
    if least == 'inf':
        return 'the input'
    return f'{least} dB from the input' if least == most else f'{least} to {most} dB from the input, by scene'


def compression_warning(codec: str, bits_per_pixel: float | None, trained_on: str) -> str | None:
    """A sentence where the input looks compressed and the weights were trained on clean frames; None where not.

    Args:
        codec: Name of the input's codec.
        bits_per_pixel: Bits of the input for each pixel of each frame; None where that is not known.
        trained_on: What is known of the training of the weights; empty for nothing, which is no reason to warn.
    """
    compressed = codec not in _LOSSLESS and bits_per_pixel is not None and bits_per_pixel < _CLEAN_BITS
    if not compressed or not trained_on or 'compress' in trained_on.lower():
        return None
    return (
        f'the input is compressed ({codec}, {bits_per_pixel:.2f} bits a pixel), but the weights were trained on '
        f'{trained_on}, frames without such traces; they may take the traces of compression for detail'
    )
