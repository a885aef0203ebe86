import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import ScanParameters, bidirectional_scan, mamba_mixer
from gsm_plugin.ops.dispatch import choose_backend
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.test_bidirectional_scan import inputs


def tensors(length, batch, d, c, dtype=torch.float64):
    """Tokens, in_proj, parameters of the scan, out_proj."""
    x, in_proj, out_proj = random_tensors((batch, length, c), (2 * d, c), (c, d), seed=1)
    _, _, conv, bias, x_proj, *rest = inputs(1, 1, d, 4, 2)
    parameters = [conv, bias, x_proj * (6 / d) ** 0.5, *rest]
    x, in_proj, out_proj, *parameters = (
        value.to(dtype) for value in (x, in_proj / c**0.5, out_proj / d**0.5, *parameters)
    )
    return x, in_proj, ScanParameters(*parameters), out_proj


@torch.no_grad()
def test_naive_is_a_scan_between_two_linear_layers():
    x, in_proj, parameters, out_proj = tensors(9, 2, 6, 5)
    inner, z = F.linear(x, in_proj[:6]), F.linear(x, in_proj[6:])
    expected = F.linear(bidirectional_scan(inner, z, parameters, 'naive'), out_proj)
    torch.testing.assert_close(mamba_mixer(x, in_proj, parameters, out_proj, 'naive'), expected)


@torch.no_grad()
@pytest.mark.parametrize('length, batch, d, c', [(1, 1, 3, 2), (7, 2, 16, 8), (65, 1, 33, 18), (40, 2, 40, 5)])
@pytest.mark.parametrize('backend', ['numba', 'torch'])
def test_matches_naive(monkeypatch, length, batch, d, c, backend):
    if backend == 'numba':
        pytest.importorskip('numba')
        from gsm_plugin.ops.bidirectional_scan import numba_impl

        # pieces whose last tokens are fewer than are multiplied at once
        monkeypatch.setattr(numba_impl, '_TOKENS', 13)
    x, in_proj, parameters, out_proj = tensors(length, batch, d, c, torch.float32)
    wide = x.double(), in_proj.double(), ScanParameters(*(p.double() for p in parameters)), out_proj.double()
    expected, before = mamba_mixer(*wide, 'naive'), x.clone()
    actual = mamba_mixer(x, in_proj, parameters, out_proj, backend)
    absolute, relative = TOLERANCES[torch.float32]
    torch.testing.assert_close(actual.double(), expected, atol=absolute * max(1, expected.abs().max()), rtol=relative)
    assert torch.equal(x, before)


@torch.no_grad()
def test_under_autocast_numba_leaves_it_to_pytorch():
    arguments = tensors(3, 1, 4, 2, torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        assert choose_backend('mamba_mixer', 'auto', 'cpu', torch.float32, arguments).name == 'torch'
        assert mamba_mixer(*arguments).dtype == torch.bfloat16


def test_refuses_gradients_and_shapes():
    x, in_proj, parameters, out_proj = tensors(3, 1, 4, 2)
    with pytest.raises(ValueError, match='keeps no gradients'):
        mamba_mixer(x, in_proj, parameters, out_proj)
    with torch.no_grad():
        with pytest.raises(ValueError, match=r'in_proj has the shape .* 4 inner channels need \(8, 2\)'):
            mamba_mixer(x, in_proj[1:], parameters, out_proj)
        with pytest.raises(ValueError, match=r'give \(b, l, c\)'):
            mamba_mixer(x[0], in_proj, parameters, out_proj)
