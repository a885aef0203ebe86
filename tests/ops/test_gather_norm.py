import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import Cells, gather_norm, implicit_warp
from gsm_plugin.ops.gather_norm.naive import gather_norm_naive
from gsm_plugin.ops.gather_norm.numba_impl import gather_norm_numba
from gsm_plugin.ops.gather_norm.torch_impl import gather_norm_torch
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

EPS = 1e-5
TYPES = pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
# targets, frames of each, height, width, channels, heads
SIZES = pytest.mark.parametrize(
    'sizes', [(1, 1, 1, 1, 4, 1), (2, 3, 3, 5, 18, 3), (1, 5, 1, 13, 4, 4), (1, 2, 4, 3, 24, 8), (1, 2, 2, 3, 40, 2)]
)


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.gather_norm.triton_impl import gather_norm_triton

    return gather_norm_triton


def tensors(sizes, dtype=torch.float64):
    """Cells, weight and bias; keys and values are parts of wider rows."""
    m, frames, h, w, c, _ = sizes
    n = m * frames
    shapes = (n, h, w, c), (n, h, w, 2 * c), (n, 2, h, w), (4, c), (4, c), (c,), (c,)
    query, key_value, flow, *positions, weight, bias = random_tensors(*shapes)
    key, value = key_value.to(dtype).chunk(2, -1)
    # places must fall into the same cells in float32
    cells = Cells(query.to(dtype), key, value, 3 * flow.float(), *(position.to(dtype) for position in positions))
    return cells, weight.to(dtype), bias.to(dtype)


def on(device, cells, weight, bias):
    return Cells(*(x.to(device) for x in cells)), weight.to(device), bias.to(device)


def assert_matches_naive(function, sizes, dtype, device=DEVICE):
    cells, weight, bias = tensors(sizes, dtype)
    frames, heads = sizes[1], sizes[-1]
    with torch.no_grad():
        on_device, *affine = on(device, cells, weight, bias)
        actual = function(on_device, heads, frames, *affine, EPS, dtype)
        wide = Cells(*(x.double() for x in cells)), heads, frames, weight.double(), bias.double()
        expected = gather_norm_naive(*wide, EPS, torch.float64)
    assert actual.shape == (sizes[0], *sizes[2:4], frames, sizes[4])
    assert actual.dtype == dtype
    assert actual.is_contiguous()
    absolute, relative = TOLERANCES[dtype]
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.cpu().double(), expected, atol=absolute * scale, rtol=relative)


@torch.no_grad()
def test_naive_is_the_norm_of_what_was_warped_pixel_by_pixel():
    cells, weight, bias = tensors((2, 3, 4, 5, 8, 2))
    aligned = implicit_warp(*cells, 2, 'naive')
    expected = F.layer_norm(aligned, (8,), weight, bias, EPS)
    actual = gather_norm(cells, 2, 3, weight, bias, EPS, torch.float64, 'naive')
    for target in range(2):
        for frame in range(3):
            torch.testing.assert_close(actual[target, :, :, frame], expected[3 * target + frame])


@TYPES
@SIZES
def test_torch_matches_naive(sizes, dtype):
    assert_matches_naive(gather_norm_torch, sizes, dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@SIZES
def test_numba_matches_naive(sizes, dtype):
    assert_matches_naive(gather_norm_numba, sizes, dtype, 'cpu')


@TYPES
@SIZES
def test_triton_matches_naive(sizes, dtype):
    assert_matches_naive(triton_backend(), sizes, dtype)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
@pytest.mark.parametrize('sizes', [(1, 5, 45, 80, 192, 8), (2, 3, 31, 67, 120, 6)])
def test_triton_matches_naive_at_the_width_of_the_network(sizes, dtype):
    assert_matches_naive(triton_backend(), sizes, dtype)


@torch.no_grad()
@pytest.mark.parametrize('backend', ['triton', 'torch', 'naive'])
def test_no_pixels_give_none(backend):
    functions = {'torch': gather_norm_torch, 'naive': gather_norm_naive}
    function = triton_backend() if backend == 'triton' else functions[backend]
    cells, weight, bias = on(DEVICE, *tensors((2, 3, 0, 5, 8, 2)))
    assert function(cells, 2, 3, weight, bias, EPS, torch.float64).shape == (2, 0, 5, 3, 8)


@torch.no_grad()
@pytest.mark.usefixtures('triton_anywhere')
@pytest.mark.parametrize('backend', ['triton', 'torch', 'naive'])
def test_half_precision_flow_is_added_to_precise_coordinates(backend):
    cells, weight, bias = on(DEVICE, *tensors((1, 1, 1, 300, 4, 2)))
    flow = torch.full_like(cells.flow, 0.25)
    of_each = (flow, flow.bfloat16())
    expected, actual = (
        gather_norm(cells._replace(flow=x), 2, 1, weight, bias, EPS, torch.float64, backend) for x in of_each
    )
    torch.testing.assert_close(actual, expected)


@torch.no_grad()
def test_wrong_sizes_and_gradients_are_named():
    cells, weight, bias = tensors((2, 3, 4, 5, 8, 2))

    def gather(cells=cells, heads=2, frames=3, weight=weight):
        return gather_norm(cells, heads, frames, weight, bias, EPS, torch.float64)

    for name, message in (
        ('key', r'key has the shape \(5, 4, 5, 8\); queries \(6, 4, 5, 8\) need \(6, 4, 5, 8\)'),
        ('flow', r'flow has the shape \(5, 2, 4, 5\); queries \(6, 4, 5, 8\) need \(6, 2, 4, 5\)'),
        ('value_position', r'value_position has the shape \(3, 8\); queries \(6, 4, 5, 8\) need \(4, 8\)'),
    ):
        with pytest.raises(ValueError, match=message):
            gather(cells._replace(**{name: getattr(cells, name)[1:]}))
    with pytest.raises(ValueError, match='8 channels in 3 heads; give a multiple'):
        gather(heads=3)
    with pytest.raises(ValueError, match='There are 6 frames in groups of 4; give a multiple'):
        gather(frames=4)
    with pytest.raises(ValueError, match=r'weight has the shape \(7,\); 8 channels need \(8,\)'):
        gather(weight=weight[1:])
    with torch.enable_grad(), pytest.raises(ValueError, match='keeps no gradients; call it within'):
        gather()
