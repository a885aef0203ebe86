import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import SumAndNorm, flow_warp, scatter_norm
from gsm_plugin.ops.scatter_norm.naive import scatter_norm_naive
from gsm_plugin.ops.scatter_norm.torch_impl import scatter_norm_torch
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

EPS = 1e-5
TYPES = pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
# clips, frames, height, width, channels
SIZES = pytest.mark.parametrize('sizes', [(1, 1, 1, 1, 4), (2, 3, 3, 5, 18), (1, 2, 7, 5, 24), (1, 1, 9, 17, 130)])


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.scatter_norm.triton_impl import scatter_norm_triton

    return scatter_norm_triton


def numba_backend():
    pytest.importorskip('numba')
    from gsm_plugin.ops.scatter_norm.numba_impl import scatter_norm_numba

    return scatter_norm_numba


def tensors(sizes, dtype=torch.float64):
    """Frames, what was aligned with the frames of a pixel next to each other, flow and parameters."""
    b, k, h, w, c = sizes
    shapes = (b, k, h, w, c), (b, h, w, k, c), (b, k, 2, h, w), *[(c,)] * 5
    frames, aligned, flow, *parameters = random_tensors(*shapes)
    flow = 2 * flow if dtype == torch.float64 else 2 * flow.float()
    parameters = SumAndNorm(*(parameter.to(dtype) for parameter in parameters))
    return frames.to(dtype), aligned.to(dtype).permute(0, 3, 1, 2, 4), flow, parameters


def on(device, frames, aligned, flow, parameters):
    return frames.to(device), aligned.to(device), flow.to(device), SumAndNorm(*(x.to(device) for x in parameters))


def assert_matches_naive(function, sizes, dtype, norm_type=None, device=DEVICE):
    """Both results; the frames are a part of a longer clip, whose others must stay as they are."""
    frames, aligned, flow, parameters = on(device, *tensors(sizes, dtype))
    wide = frames.double().cpu(), aligned.double().cpu(), flow.double().cpu()
    wide_parameters = SumAndNorm(*(parameter.double().cpu() for parameter in parameters))
    clip = frames.new_full((len(frames), frames.shape[1] + 2, *frames.shape[2:]), torch.nan)
    part = clip[:, 1:-1].copy_(frames)
    with torch.no_grad():
        normed = function(part, aligned, flow, parameters, EPS, norm_type or dtype)
        expected = scatter_norm_naive(*wide, wide_parameters, EPS, torch.float64)
    assert normed.dtype == (norm_type or dtype)
    assert normed.is_contiguous()
    for actual, wanted, kind in ((normed, expected, norm_type or dtype), (part, wide[0], dtype)):
        absolute, relative = TOLERANCES[kind]
        scale = max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(actual.cpu().double(), wanted, atol=absolute * scale, rtol=relative)
    assert clip[:, 0].isnan().all()
    assert clip[:, -1].isnan().all()


@torch.no_grad()
def test_naive_is_warp_sum_and_norm():
    frames, aligned, flow, parameters = tensors((2, 3, 4, 5, 8))
    carried = flow_warp(aligned.flatten(0, 1), flow.flatten(0, 1), 'naive').view(frames.shape)
    total = parameters.scale * frames + carried
    normed = scatter_norm(frames, aligned, flow, parameters, EPS, torch.float64, 'naive')
    torch.testing.assert_close(normed, F.layer_norm(total, (8,), parameters.weight, parameters.bias, EPS))
    torch.testing.assert_close(frames, parameters.factor * total + parameters.summand)


@SIZES
def test_numba_matches_naive(sizes):
    assert_matches_naive(numba_backend(), sizes, torch.float32, device='cpu')


@TYPES
@SIZES
def test_torch_matches_naive(sizes, dtype):
    assert_matches_naive(scatter_norm_torch, sizes, dtype)


@TYPES
@SIZES
def test_triton_matches_naive(sizes, dtype):
    assert_matches_naive(triton_backend(), sizes, dtype)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
@pytest.mark.parametrize('sizes', [(1, 5, 45, 80, 192), (2, 3, 31, 67, 120)])
def test_triton_matches_naive_at_the_width_of_the_network(sizes, dtype):
    assert_matches_naive(triton_backend(), sizes, dtype)


@pytest.mark.parametrize('backend', ['triton', 'torch'])
def test_frames_in_half_precision_get_sums_and_norms_of_other_types(backend):
    function = triton_backend() if backend == 'triton' else scatter_norm_torch

    def with_others(frames, aligned, flow, parameters, eps, dtype):
        parameters = SumAndNorm(*(parameter.float() for parameter in parameters))
        return function(frames, aligned.bfloat16(), flow, parameters, eps, dtype)

    assert_matches_naive(with_others, (1, 2, 4, 5, 8), torch.float16, torch.bfloat16)


@torch.no_grad()
@pytest.mark.parametrize('backend', ['triton', 'torch', 'naive'])
def test_no_clips_give_none(backend):
    functions = {'torch': scatter_norm_torch, 'naive': scatter_norm_naive}
    function = triton_backend() if backend == 'triton' else functions[backend]
    assert function(*on(DEVICE, *tensors((0, 3, 4, 5, 8))), EPS, torch.float64).shape == (0, 3, 4, 5, 8)


@torch.no_grad()
def test_wrong_sizes_and_gradients_are_named():
    frames, aligned, flow, parameters = tensors((2, 3, 4, 5, 8))

    def scatter(frames=frames, aligned=aligned, flow=flow, parameters=parameters):
        return scatter_norm(frames, aligned, flow, parameters, EPS, torch.float64)

    for wrong in ({'aligned': aligned[:, 1:]}, {'flow': flow[:, :, :1]}):
        with pytest.raises(ValueError, match=r'frames \(2, 3, 4, 5, 8\) need as many and \(2, 3, 2, 4, 5\)'):
            scatter(**wrong)
    with pytest.raises(ValueError, match=r'strides \(8, 32, 1\); give contiguous frames, \(40, 8, 1\)'):
        scatter(frames.transpose(2, 3).contiguous().transpose(2, 3))
    with pytest.raises(ValueError, match=r'summand has the shape \(7,\); 8 channels need \(8,\)'):
        scatter(parameters=parameters._replace(summand=parameters.summand[1:]))
    with torch.enable_grad(), pytest.raises(ValueError, match='keeps no gradients; call it within'):
        scatter()
