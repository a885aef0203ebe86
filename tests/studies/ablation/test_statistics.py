import math

import pytest

from gsm_plugin.studies.ablation.statistics import paired_p, spread_of


def test_mean_and_deviation_over_seeds():
    spread = spread_of([30.0, 30.2, 30.4])
    assert (spread.mean, spread.deviation) == pytest.approx((30.2, 0.2))
    assert spread.text(2) == '30.20 ± 0.20'
    assert spread.text(1, sign=True) == '+30.2 ± 0.2'
    assert spread_of([1.0]).text(2) == '1.00'


def test_p_is_that_of_the_paired_t_test():
    # differences 1, 2, 3: t = 2 / (1 / sqrt(3)) = 3.464 with 2 degrees of freedom
    assert paired_p([2, 4, 6], [1, 2, 3]) == pytest.approx(0.0742, abs=1e-4)


def test_equal_differences_and_single_seeds_have_no_test():
    assert paired_p([2.0, 3.0], [1.0, 2.0]) == 0
    assert paired_p([1.0, 2.0], [1.0, 2.0]) == 1
    assert math.isnan(paired_p([1.0], [2.0]))
