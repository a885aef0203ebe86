import threading

import torch

from gsm_plugin.ops import scratch


def test_within_it_a_name_has_the_same_memory_as_long_as_it_suffices():
    like = torch.zeros(1)
    with scratch.kept():
        large = scratch.empty('a', (2, 3), like)
        small, other = scratch.empty('a', (4,), like), scratch.empty('b', (2, 3), like)
        assert small.data_ptr() == large.data_ptr() != other.data_ptr()
        assert (small.shape, small.is_contiguous()) == ((4,), True)
        assert scratch.empty('a', (7,), like).data_ptr() != large.data_ptr()
        assert scratch.empty('b', (1,), like.double()).dtype == torch.float64


def test_without_it_and_in_other_threads_memory_is_new():
    like, seen = torch.zeros(1), []
    first = scratch.empty('a', (100,), like)
    assert scratch.empty('a', (100,), like).data_ptr() != first.data_ptr()
    with scratch.kept():
        own = scratch.empty('a', (100,), like)
        thread = threading.Thread(target=lambda: seen.append(scratch.empty('a', (100,), like)))
        thread.start()
        thread.join()
    assert seen[0].data_ptr() != own.data_ptr()
    assert scratch.empty('a', (100,), like).data_ptr() != own.data_ptr()
