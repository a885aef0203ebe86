from dataclasses import replace

import pytest
import torch

from gsm_plugin.ops import dispatch
from gsm_plugin.ops._common.requirements import nothing_needed


@pytest.fixture(autouse=True)
def _poisoned_memory():
    """Fills what torch.empty returns with NaN, or the largest integer, so that an unwritten output cannot pass."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def triton_anywhere(monkeypatch):
    """Lets every device have Triton's kernels, for those who ask what is chosen."""
    ops = {
        op: tuple(replace(backend, runs_on=nothing_needed) for backend in backends)
        for op, backends in dispatch._OPS.items()
    }
    monkeypatch.setattr(dispatch, '_OPS', ops)
