import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import gated_gelu
from gsm_plugin.ops.gated_gelu.naive import gated_gelu_naive
from gsm_plugin.ops.gated_gelu.torch_impl import gated_gelu_torch
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

ALL = pytest.mark.parametrize('gate', ['naive', 'torch', 'triton'], indirect=True)


@pytest.fixture
def gate(request):
    if request.param == 'naive':
        return gated_gelu_naive
    return gated_gelu_torch if request.param == 'torch' else triton_backend()


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.gated_gelu.triton_impl import gated_gelu_triton

    return on_device(gated_gelu_triton)


@ALL
def test_the_first_half_is_the_gate(gate):
    hidden = torch.tensor([[-30.0, 0.0, 30.0, 5.0, 7.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(gate(hidden), torch.tensor([[0.0, 0.0, 60.0]], dtype=torch.float64))


@ALL
def test_values_of_one_leave_gelu(gate):
    (x,) = random_tensors((2, 3, 5))
    torch.testing.assert_close(gate(torch.cat((x, torch.ones_like(x)), -1)), F.gelu(x))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_torch_matches_naive(dtype):
    assert_same_function(gated_gelu_torch, gated_gelu_naive, random_tensors((2, 3, 4, 10)), dtype)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('shape', [(1, 2), (63, 2 * 65), (2, 3, 5, 1, 2 * 127), (17, 2 * 128)])
def test_triton_matches_naive(shape, dtype):
    assert_same_function(triton_backend(), gated_gelu_naive, random_tensors(shape), dtype)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_triton_matches_naive_at_the_size_of_a_training_crop(dtype):
    assert_same_function(triton_backend(), gated_gelu_naive, random_tensors((1, 4, 64, 64, 768)), dtype)


def test_triton_takes_inputs_in_another_memory_order_and_empty_ones():
    tensors = random_tensors((6, 3, 4))

    def transposed(gate):
        return lambda x: gate(x.transpose(0, 2))

    assert_same_function(transposed(triton_backend()), transposed(gated_gelu_naive), tensors, torch.float32)
    assert triton_backend()(torch.empty(0, 4)).shape == (0, 2)


def test_an_odd_number_of_channels_is_named():
    with pytest.raises(ValueError, match=r'hidden has the shape \(2, 3\); give \(\.\.\., 2 n\)'):
        gated_gelu(torch.zeros(2, 3))
