import pytest
import torch

from gsm_plugin.ops import window_attention
from gsm_plugin.ops.window_attention.naive import (
    pad_to_windows,
    window_attention_naive,
    window_partition,
    window_reverse,
)
from gsm_plugin.ops.window_attention.torch_impl import window_attention_torch
from tests.ops.comparison import assert_same_function, random_tensors

BOTH = pytest.mark.parametrize('attention', [window_attention_naive, window_attention_torch])


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


@BOTH
def test_without_queries_a_window_is_averaged_with_the_zeros_that_pad_it(attention):
    qkv, bias = inputs((1, 1, 4, 6), (1, 4, 4))
    qkv[..., :6] = 0
    value = qkv[..., 12:]
    actual = attention(qkv, 0 * bias, (1, 4, 4), (0, 0, 0))
    torch.testing.assert_close(actual[0, 0, 0, 0], value[0, 0, :, :4].mean((0, 1)))
    torch.testing.assert_close(actual[0, 0, 0, 5], value[0, 0, :, 4:].sum((0, 1)) / 16)


@BOTH
def test_shifted_windows_do_not_mix_opposite_borders(attention):
    qkv, bias = inputs((1, 1, 8, 8), (1, 4, 4))
    qkv[..., :6] = 0
    actual = attention(qkv, 0 * bias, (1, 4, 4), (0, 2, 2))
    value = qkv[..., 12:]
    torch.testing.assert_close(actual[0, 0, 4, 4], value[0, 0, 2:6, 2:6].mean((0, 1)))
    torch.testing.assert_close(actual[0, 0, 0, 0], value[0, 0, :2, :2].mean((0, 1)))


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


def test_matches_naive_in_single_precision():
    def of(attention):
        return lambda qkv, bias: attention(qkv, bias, (2, 4, 4), (1, 2, 2))

    tensors = inputs((1, 5, 7, 9), (2, 4, 4))
    assert_same_function(of(window_attention_torch), of(window_attention_naive), tensors, torch.float32)


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
