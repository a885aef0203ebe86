from dataclasses import replace

import pytest

from gsm_plugin.ops import dispatch


@pytest.fixture
def triton_anywhere(monkeypatch):
    """Lets every device have Triton's kernels, for those who ask what is chosen."""
    ops = {
        op: tuple(replace(backend, why_not=dispatch.anywhere) for backend in backends)
        for op, backends in dispatch._OPS.items()
    }
    monkeypatch.setattr(dispatch, '_OPS', ops)
    dispatch._choose_automatically.cache_clear()
    yield
    dispatch._choose_automatically.cache_clear()
