"""What a precision costs, measured on frames of the film itself."""

import math
import threading
from collections.abc import Callable

from torch import Tensor

from gsm_plugin.inference.video.pipeline import Network
from gsm_plugin.inference.video.windows import Segment

_SIDE = 128
# A good output's PSNR to ground truth, for which the loss is told.
_REACHED = 35.0


class PrecisionCost:
    """Says once how far the output is from that of fp32, on the middle of the first frames that are restored.

    Args:
        network: What restores, in another precision than fp32.
        say: Takes the sentence.
        at_once: Whether it is measured on the way. What PyTorch multiplies float32 by holds for the whole process, so
            where other devices compute meanwhile it waits for `finish`.
    """

    def __init__(self, network: Network, say: Callable[[str], None], at_once: bool):
        self._network, self._say, self._at_once = network, say, at_once
        self._lock, self._has_clip = threading.Lock(), False
        self._clip: Tensor | None = None

    def add(self, segment: Segment, number: int, seen: Tensor, output: Tensor) -> None:
        """Measures on the first frames; see `Work.on_window`."""
        with self._lock:
            if self._has_clip:
                return
            self._has_clip = True
        rows, columns = (_middle(side) for side in seen.shape[-2:])
        self._clip = seen[None, ..., rows, columns].contiguous()
        if self._at_once:
            self.finish()

    def finish(self) -> None:
        """Measures what has not been measured, when no device is at work."""
        if self._clip is None:
            return
        clip, self._clip = self._clip.to(self._network.device), None
        own, exact = (one.restore(clip) for one in (self._network, self._network.with_precision('fp32')))
        self._say(cost_sentence(self._network.precision, own, exact))


def _middle(side: int) -> slice:
    taken = min(side, _SIDE)
    return slice((side - taken) // 2, (side + taken) // 2)


def cost_sentence(precision: str, own: Tensor, exact: Tensor) -> str:
    """How far an output is from that of fp32, and what that takes from a PSNR to ground truth.

    The loss is that of an error which has nothing to do with the network's own.

    Args:
        precision: Its name.
        own: An output, nominally in [0, 1].
        exact: The same in fp32.
    """
    error = (own.float() - exact.to(own.device)).square().mean().double().item()
    if error == 0:
        return f'precision: {precision} gives what fp32 gives, on the first frames'
    distance = -10 * math.log10(error)
    lost = 10 * math.log10(1 + 10 ** ((_REACHED - distance) / 10))
    return (
        f'precision: {precision} is {distance:.1f} dB from fp32 on the first frames, which takes {lost:.3f} dB from an '
        f'output of {_REACHED:g} dB PSNR; --precision fp32 loses nothing'
    )
