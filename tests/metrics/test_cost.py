import mmap
import time
from pathlib import Path

import pytest
import torch

from gsm_plugin.metrics.cost import measured


def test_time_is_that_of_the_work():
    with measured(torch.device('cpu')) as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 5


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='only Linux tells the peak of a process')
def test_peak_memory_is_that_of_the_work_and_not_of_what_was_before():
    def use_memory() -> None:
        # memory of its own, which no allocator had kept
        with mmap.mmap(-1, 2**28) as memory:
            for page in range(0, 2**28, mmap.PAGESIZE):
                memory[page] = 1

    use_memory()
    with measured(torch.device('cpu')) as small:
        torch.ones(10)
    with measured(torch.device('cpu')) as cost:
        use_memory()
    assert cost.peak_gib - small.peak_gib > 0.2
