import pytest
import torch

from gsm_plugin.ops import window_attention
from gsm_plugin.ops.dispatch import choose_backend
from gsm_plugin.ops.window_attention.naive import (
    pad_to_windows,
    window_attention_naive,
    window_partition,
    window_reverse,
)
from gsm_plugin.ops.window_attention.torch_impl import window_attention_torch
from gsm_plugin.switches import tf32
from tests.ops.comparison import TOLERANCES, assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

# The interpreter cannot multiply matrices in bfloat16.
KERNEL_DTYPES = [torch.float32, torch.float16] + ([] if DEVICE == 'cpu' else [torch.bfloat16])
ALL = pytest.mark.parametrize('attention', ['naive', 'torch', 'triton'], indirect=True)


@pytest.fixture
def attention(request):
    if request.param == 'naive':
        return window_attention_naive
    return window_attention_torch if request.param == 'torch' else in_single_precision


def in_single_precision(qkv, bias, window, shift):
    """The Triton kernels, which have no float64."""
    return with_triton(window, shift)(qkv.float(), bias.float()).double()


def with_triton(window, shift):
    pytest.importorskip('triton')
    from gsm_plugin.ops.window_attention.triton_impl import window_attention_triton

    return on_device(lambda qkv, bias: window_attention_triton(qkv, bias, window, shift))


def with_naive(window, shift):
    return lambda qkv, bias: window_attention_naive(qkv, bias, window, shift)


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-6)


def inputs(shape, window, heads=2, channels=6, seed=0):
    tokens = window[0] * window[1] * window[2]
    return random_tensors((*shape, 3 * channels), (heads, tokens, tokens), seed=seed)


def test_partition_is_undone_by_reverse():
    (x,) = random_tensors((2, 4, 6, 9, 5))
    windows = window_partition(x, (2, 3, 3))
    assert windows.shape == (2 * 2 * 2 * 3, 18, 5)
    assert torch.equal(windows[0], x[0, :2, :3, :3].reshape(18, 5))
    assert torch.equal(window_reverse(windows, (2, 3, 3), (4, 6, 9)), x)


def test_padding_is_at_the_end():
    padded = pad_to_windows(torch.ones(1, 3, 4, 5, 2), (2, 4, 4))
    assert padded.shape == (1, 4, 4, 8, 2)
    assert padded[:, :3, :, :5].all()
    assert padded.sum() == 3 * 4 * 5 * 2


@ALL
def test_without_queries_a_window_is_averaged_with_the_zeros_that_pad_it(attention):
    qkv, bias = inputs((1, 1, 4, 6), (1, 4, 4))
    qkv[..., :6] = 0
    value = qkv[..., 12:]
    actual = attention(qkv, 0 * bias, (1, 4, 4), (0, 0, 0))
    assert_close(actual[0, 0, 0, 0], value[0, 0, :, :4].mean((0, 1)))
    assert_close(actual[0, 0, 0, 5], value[0, 0, :, 4:].sum((0, 1)) / 16)


@ALL
def test_shifted_windows_do_not_mix_opposite_borders(attention):
    qkv, bias = inputs((1, 1, 8, 8), (1, 4, 4))
    qkv[..., :6] = 0
    actual = attention(qkv, 0 * bias, (1, 4, 4), (0, 2, 2))
    value = qkv[..., 12:]
    assert_close(actual[0, 0, 4, 4], value[0, 0, 2:6, 2:6].mean((0, 1)))
    assert_close(actual[0, 0, 0, 0], value[0, 0, :2, :2].mean((0, 1)))


@pytest.mark.parametrize(
    'shape, window, shift',
    [
        ((1, 2, 8, 8), (2, 4, 4), (0, 0, 0)),
        ((1, 2, 8, 8), (2, 4, 4), (0, 2, 2)),
        ((2, 5, 7, 9), (2, 4, 4), (1, 2, 2)),
        ((1, 1, 1, 1), (1, 1, 1), (0, 0, 0)),
        ((1, 3, 4, 5), (2, 4, 4), (1, 0, 2)),
        ((1, 4, 3, 11), (2, 3, 4), (1, 0, 2)),
    ],
)
def test_matches_naive(shape, window, shift):
    def of(attention):
        return lambda qkv, bias: attention(qkv, bias, window, shift)

    assert_same_function(of(window_attention_torch), of(window_attention_naive), inputs(shape, window))


# Shape, window, shift, heads and channels of clips that kernels may cut at awkward places.
SMALL = [
    ((2, 3, 5, 6), (2, 4, 4), (1, 2, 2), 2, 48),
    ((1, 3, 4, 11), (2, 3, 4), (1, 0, 2), 3, 15),
    ((1, 1, 7, 9), (1, 7, 9), (0, 0, 0), 1, 17),
    ((1, 1, 1, 1), (1, 1, 1), (0, 0, 0), 1, 8),
]


@torch.no_grad()
@pytest.mark.parametrize(
    'shape, window, shift, heads, channels',
    [*SMALL, ((1, 2, 33, 24), (2, 8, 8), (0, 4, 4), 1, 16)],
)
def test_numba_matches_naive(shape, window, shift, heads, channels):
    pytest.importorskip('numba')
    # windows beyond one piece of work, and logits of which some weigh nothing
    qkv, bias = inputs(shape, window, heads, channels)
    expected = window_attention(qkv, 20 * bias, window, shift, 'naive')
    actual = window_attention(qkv.float(), 20 * bias.float(), window, shift, 'numba')
    absolute, relative = TOLERANCES[torch.float32]
    torch.testing.assert_close(actual.double(), expected, atol=absolute * max(1, expected.abs().max()), rtol=relative)


def test_numba_is_for_inference_alone():
    pytest.importorskip('numba')
    qkv, bias = (x.float() for x in inputs((1, 1, 4, 4), (1, 4, 4)))
    arguments = qkv, bias, (1, 4, 4), (0, 0, 0)
    assert choose_backend('window_attention', 'auto', 'cpu', torch.float32, arguments).name == 'torch'
    with pytest.raises(RuntimeError, match='its kernel keeps no gradients'):
        window_attention(*arguments, 'numba')


def test_matches_naive_in_single_precision():
    def of(attention):
        return lambda qkv, bias: attention(qkv, bias, (2, 4, 4), (1, 2, 2))

    tensors = inputs((1, 5, 7, 9), (2, 4, 4))
    assert_same_function(of(window_attention_torch), of(window_attention_naive), tensors, torch.float32)


@pytest.mark.parametrize('dtype', KERNEL_DTYPES)
@pytest.mark.parametrize(
    'shape, window, shift, heads, channels',
    [*SMALL, ((1, 2, 9, 8), (2, 8, 8), (1, 4, 4), 1, 64)],
)
def test_triton_matches_naive(shape, window, shift, heads, channels, dtype):
    tensors = inputs(shape, window, heads, channels)
    assert_same_function(with_triton(window, shift), with_naive(window, shift), tensors, dtype)


def test_triton_sums_the_gradient_of_the_bias_over_programs_that_have_several_windows_each(monkeypatch):
    pytest.importorskip('triton')
    from gsm_plugin.ops.window_attention import triton_impl

    monkeypatch.setattr(triton_impl, '_BWD_PROGRAMS', 3)
    window, shift = (1, 2, 4), (0, 1, 0)
    tensors = inputs((1, 2, 7, 8), window, 1)
    assert_same_function(with_triton(window, shift), with_naive(window, shift), tensors, torch.float32)


@pytest.mark.skipif(DEVICE == 'cpu', reason='sizes for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_triton_matches_naive_at_the_size_of_a_training_crop(dtype):
    window, shift = (2, 8, 8), (1, 4, 4)
    tensors = inputs((1, 4, 64, 60), window, 8, 192)
    assert_same_function(with_triton(window, shift), with_naive(window, shift), tensors, dtype)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
def test_triton_takes_more_windows_than_a_grid_has_blocks_along_its_second_axis():
    window, shift = (1, 2, 2), (0, 1, 1)
    tensors = inputs((1, 2, 400, 400), window, 2, 16)
    assert_same_function(with_triton(window, shift), with_naive(window, shift), tensors, torch.float32)


def test_triton_takes_inputs_in_another_memory_order():
    window, shift = (1, 4, 4), (0, 2, 2)
    qkv, bias = inputs((1, 2, 5, 4), window)
    tensors = qkv.transpose(2, 3).contiguous(), bias.permute(1, 2, 0).contiguous()
    actual, expected = (
        lambda x, y, function=function: function(x.transpose(2, 3), y.permute(2, 0, 1))
        for function in (with_triton(window, shift), with_naive(window, shift))
    )
    assert_same_function(actual, expected, tensors, torch.float32)


def test_triton_reads_a_corner_of_a_larger_bias_where_it_is():
    window, shift = (1, 2, 4), (0, 1, 2)
    qkv, bias = inputs((1, 2, 5, 8), (2, 2, 4))

    def corner_of(function):
        return lambda qkv, bias: function(qkv, bias[:, 8:, 8:])

    functions = corner_of(with_triton(window, shift)), corner_of(with_naive(window, shift))
    assert_same_function(*functions, (qkv, bias), torch.float32)


def test_triton_gives_nothing_for_an_empty_batch():
    window, shift = (1, 4, 4), (0, 0, 0)
    qkv, bias = (value.float().requires_grad_() for value in inputs((0, 2, 4, 4), window))
    output = with_triton(window, shift)(qkv, bias)
    assert output.shape == (0, 2, 4, 4, 6)
    output.sum().backward()
    assert not bias.grad.any()


@pytest.mark.parametrize(
    'shape, window, heads, channels, message',
    [
        ((1, 4, 8, 8), (4, 8, 8), 2, 6, 'a window has 256 tokens'),
        ((1, 1, 2, 2), (1, 2, 2), 1, 65, 'a head has 65 channels'),
    ],
)
def test_what_is_too_large_for_the_kernels_is_refused_by_name_and_left_to_torch_by_auto(
    triton_anywhere, shape, window, heads, channels, message
):
    qkv, bias = (value.float() for value in inputs(shape, window, heads, channels))
    expected = window_attention_torch(qkv, bias, window, (0, 0, 0))
    assert torch.equal(window_attention(qkv, bias, window, (0, 0, 0)), expected)
    with pytest.raises(RuntimeError, match=message):
        window_attention(qkv, bias, window, (0, 0, 0), 'triton')


def test_double_precision_is_left_to_torch(triton_anywhere):
    qkv, bias = inputs((1, 2, 4, 4), (2, 4, 4))
    expected = window_attention_torch(qkv, bias, (2, 4, 4), (0, 0, 0))
    assert torch.equal(window_attention(qkv, bias, (2, 4, 4), (0, 0, 0)), expected)
    with pytest.raises(RuntimeError, match='it does not compute in float64'):
        window_attention(qkv, bias, (2, 4, 4), (0, 0, 0), 'triton')


@pytest.mark.parametrize(
    'shape, window, shift, message',
    [
        ((1, 2, 4), (2, 4, 4), (0, 0, 0), r'qkv has the shape .*; give \(b, d, h, w, 3 \* c\)'),
        ((1, 2, 4, 4), (2, 4, 4), (0, 4, 0), r'shift_size is \(0, 4, 0\); it must be smaller'),
    ],
)
def test_wrong_arguments_are_named(shape, window, shift, message):
    qkv, bias = inputs(shape, window)
    with pytest.raises(ValueError, match=message):
        window_attention(qkv, bias, window, shift)


def test_a_bias_of_another_window_is_named():
    qkv, bias = inputs((1, 2, 4, 4), (2, 4, 4))
    with pytest.raises(ValueError, match=r'bias has the shape \(2, 32, 32\); a window of \(1, 4, 4\) needs'):
        window_attention(qkv, bias, (1, 4, 4), (0, 0, 0))


def test_both_passes_are_by_tf32_where_the_first_one_is(monkeypatch):
    pytest.importorskip('triton')
    from gsm_plugin.ops.window_attention import triton_impl

    seen, original = [], triton_impl._constants

    def noted(*args):
        seen.append(original(*args)['PRECISION'])
        return original(*args)

    monkeypatch.setattr(triton_impl, '_constants', noted)
    qkv, bias = (x.float().requires_grad_() for x in inputs((1, 1, 2, 2), (1, 2, 2)))
    for on in (True, False):
        with tf32.products.turned(on):
            output = with_triton((1, 2, 2), (0, 0, 0))(qkv, bias)
        with tf32.products.turned(not on):
            output.sum().backward()
    assert seen == ['tf32'] * 2 + ['tf32x3'] * 2
