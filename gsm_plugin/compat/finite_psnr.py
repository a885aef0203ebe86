"""BasicSR's PSNR of two equal images is infinite, so one such frame makes the mean of a test set infinite too.

Then no network is better than another one, and `save_best` keeps the newest. Here it counts as 100 dB, and so does
everything above: a number that is above what networks reach, and that keeps a mean in which the other frames count.
"""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces

LARGEST_PSNR = 100.0
"""What PSNR counts at most, in dB."""


def patch(metrics: ModuleType) -> None:
    """Bounds it in `calculate_metric`, by which all models score; `calculate_psnr` itself stays as it is."""
    original = metrics.calculate_metric

    @replaces(metrics)
    def calculate_metric(data, opt):
        value = original(data, opt)
        return min(value, LARGEST_PSNR) if opt['type'] == 'calculate_psnr' else value
