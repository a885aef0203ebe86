import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import encoded_query, fraction_encoding
from gsm_plugin.ops.encoded_query.naive import encoded_query_naive
from gsm_plugin.ops.encoded_query.torch_impl import encoded_query_torch
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

TYPES = pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
# targets, flows of each, height, width, channels
SIZES = pytest.mark.parametrize('sizes', [(1, 1, 1, 1, 4), (2, 3, 3, 5, 16), (1, 2, 5, 27, 40), (1, 1, 5, 13, 192)])


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.encoded_query.triton_impl import encoded_query_triton

    return encoded_query_triton


def tensors(sizes, dtype=torch.float64):
    """Targets that are frames of a longer clip, flows, weight and bias."""
    m, count, h, w, c = sizes
    clip, flow, weight, bias = random_tensors((m, 3, h, w, c), (m * count, 2, h, w), (c, c), (c,))
    # places must be the same in float32, in which half precision has them
    flow = 3 * flow.float().to(torch.promote_types(dtype, torch.float32))
    return clip[:, 1].to(dtype), flow, (weight / c**0.5).to(dtype), bias.to(dtype)


def assert_matches_naive(function, sizes, dtype, of_target=None, device=DEVICE):
    # the reference on the same device, for frequencies are float32, in whose last bit devices differ
    target, flow, weight, bias = (x.to(device) for x in tensors(sizes, dtype))
    target = target.to(of_target or dtype)
    with torch.no_grad():
        actual = function(target, flow, weight, bias, dtype)
        wide = target.double(), flow.double(), weight.double(), bias.double()
        expected = encoded_query_naive(*wide, torch.float64)
    assert actual.shape == expected.shape == (len(flow), *target.shape[1:])
    assert actual.dtype == dtype
    assert actual.is_contiguous()
    absolute, relative = TOLERANCES[dtype]
    # the frequencies reach 100 pi, by which the places' last digits are multiplied
    absolute = max(absolute, 1e-4) if dtype != torch.float64 else absolute
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.double(), expected, atol=absolute * scale, rtol=relative)


@torch.no_grad()
def test_naive_is_a_linear_layer_of_what_was_encoded():
    target, flow, weight, bias = tensors((2, 3, 4, 5, 8))
    expected = F.linear(fraction_encoding(target, flow, torch.float64, 'naive'), weight, bias)
    actual = encoded_query(target, flow, weight, bias, torch.float64, 'naive')
    torch.testing.assert_close(actual, expected)


@SIZES
def test_numba_matches_naive(sizes):
    pytest.importorskip('numba')
    from gsm_plugin.ops.encoded_query.numba_impl import encoded_query_numba

    assert_matches_naive(encoded_query_numba, sizes, torch.float32, device='cpu')


@TYPES
@SIZES
def test_torch_matches_naive(sizes, dtype):
    assert_matches_naive(encoded_query_torch, sizes, dtype)


@TYPES
@SIZES
def test_triton_matches_naive(sizes, dtype):
    assert_matches_naive(triton_backend(), sizes, dtype)


def test_triton_multiplies_in_another_type_than_that_of_the_target():
    assert_matches_naive(triton_backend(), (2, 2, 3, 5, 24), torch.bfloat16, of_target=torch.float32)


def test_triton_takes_more_channels_than_its_kernel_does():
    assert_matches_naive(triton_backend(), (1, 2, 2, 3, 196), torch.float16)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('sizes', [(1, 5, 45, 80, 192), (2, 3, 31, 67, 120)])
def test_triton_matches_naive_at_the_width_of_the_network(sizes, dtype):
    assert_matches_naive(triton_backend(), sizes, dtype)


@torch.no_grad()
@pytest.mark.parametrize('backend', ['triton', 'torch', 'naive'])
def test_no_pixels_give_none(backend):
    functions = {'torch': encoded_query_torch, 'naive': encoded_query_naive}
    function = triton_backend() if backend == 'triton' else functions[backend]
    inputs = (x.to(DEVICE) for x in tensors((2, 3, 0, 5, 8), torch.float16))
    assert function(*inputs, torch.float16).shape == (6, 0, 5, 8)


@torch.no_grad()
def test_wrong_sizes_and_gradients_are_named():
    target, flow, weight, bias = tensors((2, 3, 4, 5, 8))

    def query(target=target, flow=flow, weight=weight, bias=bias):
        return encoded_query(target, flow, weight, bias, torch.float64)

    for wrong in ({'flow': flow[1:]}, {'flow': flow[..., 1:]}, {'target': target[..., 1:]}, {'target': target[:0]}):
        with pytest.raises(ValueError, match=r'encoded_query got target .* and flow .*; give'):
            query(**wrong)
    with pytest.raises(ValueError, match=r'weight has the shape \(7, 8\); 8 channels need \(8, 8\)'):
        query(weight=weight[1:])
    with pytest.raises(ValueError, match=r'bias has the shape \(7,\); 8 channels need \(8,\)'):
        query(bias=bias[1:])
    with torch.enable_grad(), pytest.raises(ValueError, match='keeps no gradients; call it within'):
        query()


def test_numba_does_not_depend_on_pytorchs_default_type():
    pytest.importorskip('numba')
    from gsm_plugin.ops.encoded_query.numba_impl import encoded_query_numba

    given = *tensors((1, 1, 5, 13, 16), torch.float32), torch.float32
    expected, before = encoded_query_numba(*given), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        torch.testing.assert_close(encoded_query_numba(*given), expected)
    finally:
        torch.set_default_dtype(before)
