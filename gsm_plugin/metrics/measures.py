"""What is scored besides PSNR and SSIM where it is asked for: how tables show it, and what it is."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A measure of output frames against ground truth; of all of them, lower is better.

    Attributes:
        title: Heading in tables.
        digits: Decimals in tables.
        note: What it is, for tables and pages.
        network: Package of the network that it needs, a key of `perceptual.PACKAGES`; None where it needs none.
        temporal: Whether it is of consecutive frames, so that a clip has one value less than frames.
        least_side: Pixels that both sides of a frame need.
    """

    title: str
    digits: int
    note: str
    network: str | None
    temporal: bool
    least_side: int = 1


# Smaller frames leave nothing after the two poolings of AlexNet.
_ALEXNET = 31

MEASURES = {
    'lpips': Measure('LPIPS ↓', 4, 'LPIPS on RGB (AlexNet, version 0.1)', 'lpips', temporal=False, least_side=_ALEXNET),
    'dists': Measure('DISTS ↓', 4, 'DISTS on RGB at full size', 'DISTS_pytorch', temporal=False),
    'tof': Measure('tOF ↓', 3, 'tOF in pixels, of Farneback flows', None, temporal=True),
    'tlp': Measure('tLP x100 ↓', 3, 'tLP of LPIPS, times 100', 'lpips', temporal=True, least_side=_ALEXNET),
    'mse_hidden': Measure(
        'MSE hidden ↓',
        3,
        'MSE hidden: the part of MSE that is of pixels which the frame before hides',
        None,
        temporal=True,
    ),
    'mse_shown': Measure('MSE shown ↓', 3, 'MSE shown: the rest of MSE', None, temporal=True),
}


PARTS_OF_MSE = ('mse_hidden', 'mse_shown')


def describe(names: Iterable[str]) -> str:
    """One sentence about some measures; empty without any."""
    notes = '; '.join(MEASURES[name].note for name in names)
    return f'Lower is better: {notes}.' if notes else ''
