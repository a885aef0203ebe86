"""BasicSR's PSNR of two equal images is infinite, so one such frame makes the mean of a test set infinite too.

Then no network is better than another one, and `save_best` keeps the newest. Here it counts as 100 dB, and so does
everything above: a number that is above what networks reach, and that keeps a mean in which the other frames count.
"""

import functools
from types import ModuleType

LARGEST_PSNR = 100.0
"""What PSNR counts at most, in dB."""


def mend(psnr_ssim: ModuleType) -> None:
    """Bounds `calculate_psnr`, also under its name in the registry of metrics."""
    original = psnr_ssim.calculate_psnr

    @functools.wraps(original)
    def calculate_psnr(*arguments, **named):
        return min(original(*arguments, **named), LARGEST_PSNR)

    psnr_ssim.calculate_psnr = calculate_psnr
    psnr_ssim.METRIC_REGISTRY._obj_map['calculate_psnr'] = calculate_psnr
