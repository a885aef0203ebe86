import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import FeedForward, gated_feed_forward
from gsm_plugin.ops.dispatch import choose_backend
from gsm_plugin.ops.gated_feed_forward import interface, torch_impl
from gsm_plugin.ops.gated_feed_forward.naive import gated_feed_forward_naive
from gsm_plugin.ops.gated_feed_forward.torch_impl import gated_feed_forward_torch
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

EPS = 1e-5
HALF = pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
# rows, channels, channels of what the heads saw, channels in between
SIZES = pytest.mark.parametrize('sizes', [(1, 16, 16, 32), (129, 24, 40, 33), (5, 96, 96, 192), (130, 120, 240, 64)])


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.gated_feed_forward.triton_impl import gated_feed_forward_triton

    return gated_feed_forward_triton


def numba_backend():
    pytest.importorskip('numba')
    from gsm_plugin.ops.gated_feed_forward.numba_impl import gated_feed_forward_numba

    return gated_feed_forward_numba


def tensors(sizes, dtype=torch.float64, seed=0):
    """x, attended, and parameters that leave results of about one."""
    rows, c, k, n = sizes
    shapes = (c, k), (c,), (c,), (c,), (n, c), (n,), (n, c), (n,), (c, n), (c,)
    x, attended, *parameters = random_tensors((rows, c), (rows, k), *shapes, seed=seed)
    parameters = [p / p.shape[1] ** 0.5 if p.ndim == 2 else p / 2 for p in parameters]
    return x.to(dtype), attended.to(dtype), FeedForward(*(p.to(dtype) for p in parameters))


def on(device, x, attended, parameters):
    return x.to(device), attended.to(device), FeedForward(*(p.to(device) for p in parameters))


def assert_matches_naive(function, inputs, dtype, sums=None, every=1):
    """Compares every so many rows with the reference in float64 of the same rounded inputs.

    x may be of a type of its own, `sums`.
    """
    x, attended, parameters = inputs
    x = x.to(sums or dtype)
    wide = x[::every].double(), attended[::every].double(), FeedForward(*(p.double() for p in parameters))
    with torch.no_grad():
        actual = function(*on(DEVICE, x, attended, parameters), EPS, dtype, None)
        expected = gated_feed_forward_naive(*wide, EPS, torch.float64, None)
    assert actual.shape == x.shape
    assert actual.isfinite().all()
    actual = actual[::every]
    absolute, relative = TOLERANCES[dtype]
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.cpu().double(), expected, atol=absolute * scale, rtol=relative)
    return actual


def test_naive_is_what_the_layers_of_pytorch_make_of_it():
    x, attended, p = tensors((6, 8, 12, 20))
    s = x + F.linear(attended, p.proj, p.proj_bias)
    n = F.layer_norm(s, (8,), p.norm, p.norm_bias, EPS)
    hidden = F.gelu(F.linear(n, p.gate, p.gate_bias)) * F.linear(n, p.value, p.value_bias)
    with torch.no_grad():
        actual = gated_feed_forward(x, attended, p, EPS, torch.float64, 'naive')
    torch.testing.assert_close(actual, s + F.linear(hidden, p.out, p.out_bias))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('rows_at_once', [2**17, 4])
def test_torch_matches_naive(monkeypatch, rows_at_once, dtype):
    monkeypatch.setattr(torch_impl, '_ROWS_IN_CACHE', rows_at_once)
    assert_matches_naive(gated_feed_forward_torch, tensors((9, 24, 40, 36), dtype), dtype)


@pytest.mark.skipif(DEVICE != 'cpu', reason='its kernel is for a CPU')
@SIZES
@pytest.mark.parametrize('rows_of_a_piece', [512, 24])
def test_numba_matches_naive(monkeypatch, sizes, rows_of_a_piece):
    function = numba_backend()
    monkeypatch.setitem(function.__globals__, '_ROWS', rows_of_a_piece)
    assert_matches_naive(function, tensors(sizes, torch.float32), torch.float32)


@HALF
@SIZES
def test_triton_matches_naive(sizes, dtype):
    assert_matches_naive(triton_backend(), tensors(sizes, dtype), dtype)


@HALF
@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('sizes', [(115200, 192, 192, 384), (100001, 192, 192, 384), (70000, 120, 240, 240)])
def test_triton_matches_naive_at_the_size_of_two_frames(sizes, dtype):
    assert_matches_naive(triton_backend(), tensors(sizes, dtype), dtype, sums=torch.float16, every=29)


@pytest.mark.parametrize('sums', [torch.float32, torch.float16])
def test_triton_adds_in_the_type_of_x(sums):
    result = assert_matches_naive(triton_backend(), tensors((7, 24, 24, 48), torch.bfloat16), torch.bfloat16, sums)
    assert result.dtype == torch.float32


@pytest.mark.parametrize('backend', ['triton', 'numba', 'torch'])
def test_the_result_may_take_the_place_of_x_or_of_some_frames_of_many(backend):
    functions = {'triton': triton_backend, 'numba': numba_backend, 'torch': lambda: gated_feed_forward_torch}
    function, dtype = functions[backend](), torch.float32 if backend == 'numba' else torch.bfloat16
    device = 'cpu' if backend == 'numba' else DEVICE
    x, attended, parameters = on(device, *tensors((6, 24, 24, 48), dtype))
    with torch.no_grad():
        expected = function(x, attended, parameters, EPS, dtype, None)
        place = x.clone()
        assert function(place, attended, parameters, EPS, dtype, place) is place
        clip = torch.zeros(2, 5, 3, 24, dtype=dtype, device=device)
        frames = clip[:, 2:3]
        x, attended = (tensor.view(2, 1, 3, 24) for tensor in (x, attended))
        assert function(x, attended, parameters, EPS, dtype, frames) is frames
    assert torch.equal(place, expected)
    assert torch.equal(clip[:, 2].reshape(6, 24), expected)
    assert not clip[:, :2].any()
    assert not clip[:, 3:].any()


@pytest.mark.parametrize('backend', ['triton', 'numba', 'torch', 'naive'])
def test_no_rows_give_none(backend):
    dtype, device = (torch.float32, 'cpu') if backend == 'numba' else (torch.bfloat16, DEVICE)
    x, attended, parameters = on(device, *tensors((0, 24, 40, 48), dtype))
    functions = {'torch': gated_feed_forward_torch, 'naive': gated_feed_forward_naive}
    backends = {'triton': triton_backend, 'numba': numba_backend}
    function = backends[backend]() if backend in backends else functions[backend]
    with torch.no_grad():
        assert function(x, attended, parameters, EPS, dtype, None).shape == (0, 24)


@torch.no_grad()
def test_numba_leaves_to_pytorch_what_is_not_float32_and_what_autocast_rounds():
    pytest.importorskip('numba')

    def chosen(x, dtype):
        arguments = x, *tensors((3, 8, 8, 16), torch.float32)[1:], EPS, dtype, None
        return choose_backend('gated_feed_forward', 'auto', 'cpu', dtype, arguments).name

    x = torch.zeros(3, 8)
    assert chosen(x, torch.float32) == 'numba'
    assert chosen(x.bfloat16(), torch.float32) == chosen(x, torch.bfloat16) == 'torch'
    with torch.autocast('cpu', torch.bfloat16):
        assert chosen(x, torch.float32) == 'torch'


@torch.no_grad()
def test_wrong_sizes_and_gradients_are_named():
    x, attended, p = tensors((3, 8, 8, 16))
    for name, value, message in (
        ('proj', p.proj[:, 1:], r'proj has the shape \(8, 7\); 8 channels of x need \(8, 8\)'),
        ('value', p.value[1:], r'value has the shape \(15, 8\); 8 channels of x need \(16, 8\)'),
    ):
        with pytest.raises(ValueError, match=message):
            gated_feed_forward(x, attended, p._replace(**{name: value}), EPS, x.dtype)
    with pytest.raises(ValueError, match=r'attended has the shape \(2, 8\); give as many rows as x, \(3, 8\)'):
        gated_feed_forward(x, attended[1:], p, EPS, x.dtype)
    with pytest.raises(ValueError, match=r'into has the shape \(2, 8\); give that of x, \(3, 8\)'):
        gated_feed_forward(x, attended, p, EPS, x.dtype, into=x[1:])
    with torch.enable_grad(), pytest.raises(ValueError, match='keeps no gradients; call it within'):
        gated_feed_forward(x, attended, p, EPS, x.dtype)


@torch.no_grad()
def test_wide_rows_and_float32_are_left_to_others_and_the_kernel_refuses_them(monkeypatch, triton_anywhere):
    monkeypatch.setattr(interface, '_MOST_CHANNELS', 7)
    for dtype, message in (
        (torch.bfloat16, 'there are 8 channels, its kernel takes up to 7'),
        (torch.float32, 'float32'),
    ):
        x, attended, p = on(DEVICE, *tensors((3, 8, 8, 16), dtype))
        expected = gated_feed_forward_torch(x, attended, p, EPS, dtype, None)
        torch.testing.assert_close(gated_feed_forward(x, attended, p, EPS, dtype), expected)
        with pytest.raises(RuntimeError, match=f'{message}; set auto'):
            gated_feed_forward(x, attended, p, EPS, dtype, 'triton')
