"""Means, deviations over seeds, and a paired test against the base."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; the latter is NaN for one seed."""

    mean: float
    deviation: float
    number: int

    def text(self, digits: int, sign: bool = False) -> str:
        """`30.12 ± 0.03`, of one seed without the deviation."""
        mean = f'{self.mean:+.{digits}f}' if sign else f'{self.mean:.{digits}f}'
        return mean if math.isnan(self.deviation) else f'{mean} ± {self.deviation:.{digits}f}'


def spread_of(values: Sequence[float]) -> Spread:
    """Mean and deviation of values, one a seed."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else math.nan, len(values))


def paired_p(values: Sequence[float], base: Sequence[float]) -> float:
    """Two-sided p of the paired t-test (Student, 1908) that a variant and the base have the same mean.

    Args:
        values: One a seed.
        base: Of the base, for the same seeds.

    Returns:
        NaN for fewer than two seeds; 0 or 1 where all differences are equal.
    """
    differences = [value - other for value, other in zip(values, base, strict=True)]
    if len(differences) < 2:
        return math.nan
    if len({*differences}) == 1:
        return 0.0 if differences[0] else 1.0
    from scipy.stats import ttest_rel

    return float(ttest_rel(values, base).pvalue)
