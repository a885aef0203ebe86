import time
from pathlib import Path

import pytest
import torch

from gsm_plugin.evaluation.cost import measured


def test_time_is_that_of_the_work():
    with measured(torch.device('cpu')) as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 5


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='only Linux tells the peak of a process')
def test_peak_memory_is_that_of_the_work_and_not_of_what_was_before():
    size = 2**28
    large = torch.ones(size // 4)
    del large
    with measured(torch.device('cpu')) as small:
        torch.ones(10)
    with measured(torch.device('cpu')) as cost:
        torch.ones(size // 4)
    assert cost.peak_gib - small.peak_gib > 0.2
