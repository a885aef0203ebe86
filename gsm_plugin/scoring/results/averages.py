"""Averages that stay finite, and what they leave out."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from gsm_plugin.compat.finite_psnr import LARGEST_PSNR

_SHOWN = 3


def finite_mean(values: Iterable[float]) -> float:
    """The mean of the values that are numbers; NaN where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else math.nan


def note_of(metric: str, frames: Sequence[str], values: Sequence[float]) -> str | None:
    """Half a sentence on frames that are counted otherwise than they are, or not at all; None where all count.

    Args:
        metric: Its key.
        frames: Their names, one for each value or one more.
        values: The values.
    """
    named = list(zip(frames, values, strict=False))
    exact = [name for name, value in named if metric == 'psnr' and value >= LARGEST_PSNR]
    lost = [name for name, value in named if not math.isfinite(value)]
    parts = []
    if exact:
        verb = 'are' if len(exact) > 1 else 'is'
        parts.append(f'{_list(exact)} {verb} like the ground truth, PSNR counts as {LARGEST_PSNR:.0f} dB there')
    if lost:
        parts.append(f'no number for {metric} of {_list(lost)}, which its mean leaves out')
    return '; '.join(parts) or None


def _list(names: Sequence[str]) -> str:
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return f'frame{"s" if len(names) > 1 else ""} {", ".join(names[:_SHOWN])}{more}'
