import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from gsm_plugin.archs.fast_path import fast_without_gradients
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.switches import onednn

CPU = torch.device('cpu')


@pytest.fixture(params=[True, False])
def exact(request, monkeypatch):
    monkeypatch.setattr(onednn, 'is_exact', lambda: request.param)
    return request.param


@pytest.mark.parametrize('use', ['training', 'inference'])
def test_a_cpu_multiplies_by_it_where_that_is_exact(use, exact):
    before = onednn.products.is_on()
    with policy_for(use, 'fp32').multiplying_float32(CPU):
        assert onednn.products.is_on() == exact
    assert onednn.products.is_on() == before


def test_a_gpu_does_not(exact):
    with policy_for('inference', 'fp32').multiplying_float32(torch.device('cuda')):
        assert not onednn.products.is_on()


def test_what_has_no_gradients_does_whoever_calls_it(exact):
    class Fast:
        def restore(self, x):
            return onednn.products.is_on()

    class Network(nn.Linear):
        def fast(self):
            return Fast()

        @fast_without_gradients
        def restore(self, x):
            return None

    with torch.no_grad():
        assert Network(1, 1).restore(torch.zeros(1)) == exact


def test_it_is_exact_only_where_products_are():
    a, b = torch.randn(300, 200), torch.randn(200, 100)
    expected = a.double() @ b.double()
    with onednn.products.turned(True):
        error = ((a @ b) - expected).norm() / expected.norm()
    assert onednn.is_exact() == (error < 1e-5)


def test_rounded_factors_are_noticed(monkeypatch):
    rand = torch.rand
    monkeypatch.setattr(torch, 'rand', lambda *size, generator: _Rounded(rand(*size, generator=generator)))
    assert not onednn.is_exact.__wrapped__()


def test_it_is_told_where_tensors_have_no_numbers():
    with FakeTensorMode():
        assert onednn.is_exact.__wrapped__() == onednn.is_exact()


class _Rounded:
    """A matrix whose products round their factors to bfloat16."""

    def __init__(self, values):
        self._values = values

    def __sub__(self, number):
        return _Rounded(self._values - number)

    def double(self):
        return self._values.double()

    def __matmul__(self, other):
        return (self._values.bfloat16() @ other._values.bfloat16()).float()
