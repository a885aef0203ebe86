"""Depthwise convolution and GELU by Triton kernels that march down the rows of a volume.

A program owns some columns and channels of all frames. It loads each row once, with its left and right neighbours,
and adds it to the three rows of results that it touches; those wait in registers until they are complete. Meanwhile the
next row is on its way.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._triton.instructions import add_pairs, multiply_add_pairs, prefetch
from gsm_plugin.ops._triton.normal import distribution_in_half_precision, gelu_pairs, normal_distribution

# More frames than these are cut into chunks of _FRAMES, whose neighbours are loaded twice.
_FRAMES_AT_ONCE = 7
_FRAMES = 5
_COLUMNS = 4
_CHANNELS = 64
_PROGRAMS_PER_MULTIPROCESSOR = 24
_LEAST_ROWS = 8


def depthwise_conv_gelu_triton(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Computes `depthwise_conv_gelu`, arguments and result as described there; sums in float32 (float64 in float64).

    In float16 without gradients, sums and GELU are in float16, too; a sum is one of three, of nine products each.
    """
    sums = tl.float16 if x.dtype == torch.float16 and not torch.is_grad_enabled() else _sum_dtype(x)
    return _DepthwiseConvGelu.apply(x.contiguous(), weight, bias.contiguous(), sums)


class _DepthwiseConvGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, sums: tl.dtype) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        output = torch.empty_like(x)
        _convolve(x, weight, bias, None, output, sums)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, bias = ctx.saved_tensors
        grad_sum, grad_x = torch.empty_like(x), torch.empty_like(x)
        _convolve(x, weight, bias, grad.contiguous(), grad_sum, _sum_dtype(x))
        partial = _convolve_bwd(x, weight, grad_sum, grad_x)
        sums = partial.sum(0)
        return grad_x, sums[:27].flip(0).t().reshape(weight.shape).to(weight.dtype), sums[27].to(bias.dtype), None


class _Plan(NamedTuple):
    """How a volume is cut: `pieces` programs for every block of channels."""

    frames: int
    rows: int
    columns: int
    channels: int
    pieces: int
    channel_blocks: int


def _plan(x: Tensor, columns: int, channels: int) -> _Plan:
    b, t, h, w, c = x.shape
    frames = t if t <= _FRAMES_AT_ONCE else _FRAMES
    multiprocessors = torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 1
    channel_blocks = triton.cdiv(c, channels)
    full_height = b * triton.cdiv(t, frames) * triton.cdiv(w, columns)
    wanted = triton.cdiv(_PROGRAMS_PER_MULTIPROCESSOR * multiprocessors, full_height * channel_blocks)
    rows = min(h, max(_LEAST_ROWS, triton.cdiv(h, wanted)))
    return _Plan(frames, rows, columns, channels, full_height * triton.cdiv(h, rows), channel_blocks)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor | None, output: Tensor, sums: tl.dtype) -> None:
    """Writes the result, or with `grad` (of the result) the gradient of what GELU is applied to."""
    if not x.numel():
        return
    plan = _plan(x, _COLUMNS, _CHANNELS)
    taps = weight.detach().reshape(-1, 27).t().contiguous()
    depthwise_conv_gelu_fwd_kernel[plan.pieces * plan.channel_blocks,](
        x, taps, bias, x if grad is None else grad, output, *x.shape[1:4], plan.rows, C=x.shape[4],
        FRAMES=plan.frames, WHOLE=plan.frames == x.shape[1], COLUMNS=plan.columns, CHANNELS=plan.channels,
        BACKWARD=grad is not None, DTYPE=sums, num_warps=4,
    )  # fmt: skip


def _convolve_bwd(x: Tensor, weight: Tensor, grad_sum: Tensor, grad_x: Tensor) -> Tensor:
    """Writes `grad_x`, and returns per piece of the volume the gradients of the flipped taps and the bias."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    if not x.numel():
        return torch.zeros(1, 28, x.shape[-1], dtype=dtype, device=x.device)
    plan = _plan(x, _COLUMNS, _CHANNELS)
    taps = weight.detach().reshape(-1, 27).flip(1).t().contiguous()
    partial = torch.empty(plan.pieces, 28, x.shape[-1], dtype=dtype, device=x.device)
    depthwise_conv_gelu_bwd_kernel[plan.pieces * plan.channel_blocks,](
        x, taps, grad_sum, grad_x, partial, *x.shape[1:4], plan.rows, C=x.shape[4],
        FRAMES=plan.frames, WHOLE=plan.frames == x.shape[1], COLUMNS=plan.columns, CHANNELS=plan.channels,
        DTYPE=_sum_dtype(x), num_warps=4,
    )  # fmt: skip
    return partial


def _sum_dtype(x: Tensor) -> tl.dtype:
    return tl.float64 if x.dtype == torch.float64 else tl.float32


@triton.jit
def depthwise_conv_gelu_fwd_kernel(
    p_x, p_taps, p_bias, p_grad, p_output, T, H, W, ROWS, C: tl.constexpr,
    FRAMES: tl.constexpr, WHOLE: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
    BACKWARD: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (pieces * channel blocks); x, grad, output (b, t, h, w, c), taps (27, c), bias (c), sums of type DTYPE."""
    i_frame, i_first, i_column, i_channel, o_piece, _ = _place(T, H, W, C, ROWS, FRAMES, COLUMNS, CHANNELS)
    o_block = o_piece + i_column[:, None] * C + i_channel[None, :]
    masks = _neighbour_masks(i_column, i_channel, W, C)
    taps = _load_taps(p_taps, i_channel, C, DTYPE)
    b_bias = tl.load(p_bias + i_channel, mask=i_channel < C, other=0).to(DTYPE)[None, :]
    start = _repeat(b_bias + tl.zeros((COLUMNS, CHANNELS), DTYPE), FRAMES)
    before, here = start, start
    o_lines = o_piece + _lines(i_frame, i_column, i_channel, T, H, W, C, FRAMES, COLUMNS, CHANNELS)
    i_end = tl.minimum(i_first + ROWS, H)
    for i_row in range(i_first - 1, i_end + 1):
        prefetch(p_x + o_lines + (tl.minimum(i_row + 1, H - 1) - i_first).to(tl.int64) * (W * C))
        o_row = o_block + (i_row - i_first).to(tl.int64) * (W * C)
        row = _load_neighbours(p_x + o_row, masks, i_row, i_frame, T, H, W, C, FRAMES, WHOLE, DTYPE)
        done = _add_row(before, row, taps, 2, FRAMES, WHOLE)
        before = _add_row(here, row, taps, 1, FRAMES, WHOLE)
        here = _add_row(start, row, taps, 0, FRAMES, WHOLE)
        for f in tl.static_range(FRAMES):
            o_done = o_row - W * C + f * tl.cast(H, tl.int64) * (W * C)
            m_done = masks[1] & (i_row > i_first) & (WHOLE or i_frame + f < T)
            if BACKWARD:
                b_distribution, b_density = normal_distribution(done[f])
                b_grad = tl.load(p_grad + o_done, mask=m_done, other=0).to(DTYPE)
                b_result = b_grad * (b_distribution + done[f] * b_density)
            elif done[f].dtype == tl.float16:
                b_result = gelu_pairs(done[f])
            elif p_output.dtype.element_ty.primitive_bitwidth == 16:
                b_result = done[f] * distribution_in_half_precision(done[f])
            else:
                b_result = done[f] * normal_distribution(done[f])[0]
            tl.store(p_output + o_done, b_result.to(p_output.dtype.element_ty), mask=m_done)


@triton.jit
def depthwise_conv_gelu_bwd_kernel(
    p_x, p_taps, p_grad, p_grad_x, p_partial, T, H, W, ROWS, C: tl.constexpr,
    FRAMES: tl.constexpr, WHOLE: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (pieces * channel blocks); x, grad (of the sums), grad_x (b, t, h, w, c), taps (27, c), flipped,
    partial (pieces, 28, c): gradients of these taps and of the bias."""
    i_frame, i_first, i_column, i_channel, o_piece, i_piece = _place(T, H, W, C, ROWS, FRAMES, COLUMNS, CHANNELS)
    o_block = o_piece + i_column[:, None] * C + i_channel[None, :]
    masks = _neighbour_masks(i_column, i_channel, W, C)
    taps = _load_taps(p_taps, i_channel, C, DTYPE)
    b_zero = tl.zeros((COLUMNS, CHANNELS), DTYPE)
    start = _repeat(b_zero, FRAMES)
    before, here = start, start
    # Values of their own: Triton does not carry a variable through a loop that begins as another carried one.
    x_before = _repeat(tl.zeros((COLUMNS, CHANNELS), DTYPE), FRAMES)
    x_here = _repeat(tl.zeros((COLUMNS, CHANNELS), DTYPE), FRAMES)
    sums = _repeat(b_zero, 27)
    b_bias = b_zero
    o_lines = o_piece + _lines(i_frame, i_column, i_channel, T, H, W, C, FRAMES, COLUMNS, CHANNELS)
    i_end = tl.minimum(i_first + ROWS, H)
    for i_row in range(i_first - 1, i_end + 1):
        prefetch(p_grad + o_lines + (tl.minimum(i_row + 1, H - 1) - i_first).to(tl.int64) * (W * C))
        prefetch(p_x + o_lines + (tl.minimum(i_row + 2, H - 1) - i_first).to(tl.int64) * (W * C))
        o_row = o_block + (i_row - i_first).to(tl.int64) * (W * C)
        row = _load_neighbours(p_grad + o_row, masks, i_row, i_frame, T, H, W, C, FRAMES, WHOLE, DTYPE)
        m_next = masks[1] & (i_row + 1 < i_end)
        x_next = _load_frames(p_x + o_row + W * C, m_next, i_frame, T, H, W, C, FRAMES, WHOLE, DTYPE)
        done = _add_row(before, row, taps, 2, FRAMES, WHOLE)
        before = _add_row(here, row, taps, 1, FRAMES, WHOLE)
        here = _add_row(start, row, taps, 0, FRAMES, WHOLE)
        sums = _add_products(sums, x_next, x_here, x_before, row, FRAMES, WHOLE)
        owned = ((i_row >= i_first) & (i_row < i_end)).to(DTYPE)
        for f in tl.static_range(FRAMES):
            b_bias += owned * row[3 * (f + (0 if WHOLE else 1)) + 1]
            o_done = o_row - W * C + f * tl.cast(H, tl.int64) * (W * C)
            m_done = masks[1] & (i_row > i_first) & (WHOLE or i_frame + f < T)
            tl.store(p_grad_x + o_done, done[f].to(p_grad_x.dtype.element_ty), mask=m_done)
        x_before, x_here = x_here, x_next
    p_sums = p_partial + i_piece.to(tl.int64) * 28 * C + i_channel
    for i in tl.static_range(27):
        tl.store(p_sums + i * C, tl.sum(sums[i], 0), mask=i_channel < C)
    tl.store(p_sums + 27 * C, tl.sum(b_bias, 0), mask=i_channel < C)


@triton.jit
def _place(T, H, W, C, ROWS, FRAMES: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr):
    """First frame and row, columns, channels, offset of that row in that frame, and number of this program's piece."""
    channel_blocks = tl.cdiv(C, CHANNELS)
    i_piece = tl.program_id(0) // channel_blocks
    i_channel = tl.program_id(0) % channel_blocks * CHANNELS + tl.arange(0, CHANNELS)
    columns, rows, chunks = tl.cdiv(W, COLUMNS), tl.cdiv(H, ROWS), tl.cdiv(T, FRAMES)
    i_column = i_piece % columns * COLUMNS + tl.arange(0, COLUMNS)
    i_rest = i_piece // columns
    i_first = i_rest % rows * ROWS
    i_rest = i_rest // rows
    i_frame = i_rest % chunks * FRAMES
    o_piece = ((i_rest // chunks * T + i_frame) * H + i_first).to(tl.int64) * (W * C)
    return i_frame, i_first, i_column, i_channel, o_piece, i_piece


@triton.jit
def _lines(
    i_frame, i_column, i_channel, T, H, W, C, FRAMES: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr
):
    """Places in the cache lines of a row of each frame, with the columns to the left and right, one for each thread."""
    columns: tl.constexpr = triton.next_power_of_2(COLUMNS + 2)
    i = tl.arange(0, 2 * columns * triton.next_power_of_2(FRAMES))
    i_near = tl.min(i_column, 0) - 1 + i // 2 % columns
    i_near = tl.minimum(tl.maximum(i_near, 0), W - 1)
    i_half = tl.minimum(tl.min(i_channel, 0) + i % 2 * (CHANNELS // 2), C - 1)
    f = tl.minimum(i // (2 * columns), tl.minimum(FRAMES, T - i_frame) - 1)
    return f.to(tl.int64) * H * (W * C) + i_near * C + i_half


@triton.jit
def _neighbour_masks(i_column, i_channel, W, C):
    """Which columns to the left, here and to the right exist."""
    m_channel = (i_channel < C)[None, :]
    left = (i_column >= 1) & (i_column <= W)
    right = i_column + 1 < W
    return left[:, None] & m_channel, (i_column < W)[:, None] & m_channel, right[:, None] & m_channel


@triton.jit
def _load_taps(p_taps, i_channel, C, DTYPE: tl.constexpr):
    """The 27 weights of every channel."""
    taps = ()
    for i in tl.static_range(27):
        taps += (tl.load(p_taps + i * C + i_channel, mask=i_channel < C, other=0).to(DTYPE)[None, :],)
    return taps


@triton.jit
def _repeat(b_value, COUNT: tl.constexpr):
    """A tuple of equal blocks."""
    values = ()
    for _ in tl.static_range(COUNT):
        values += (b_value,)
    return values


@triton.jit
def _load_neighbours(
    p_row, masks, i_row, i_frame, T, H, W, C, FRAMES: tl.constexpr, WHOLE: tl.constexpr, DTYPE: tl.constexpr
):
    """A row of each frame (and of the frames before and after, if not WHOLE), from the left, here and the right."""
    row = ()
    for f in tl.static_range(0 if WHOLE else -1, FRAMES if WHOLE else FRAMES + 1):
        exists = (i_row >= 0) & (i_row < H)
        if not WHOLE:
            exists = exists & (i_frame + f >= 0) & (i_frame + f < T)
        p_frame = p_row + f * tl.cast(H, tl.int64) * (W * C)
        for k in tl.static_range(3):
            row += (tl.load(p_frame + (k - 1) * C, mask=masks[k] & exists, other=0).to(DTYPE),)
    return row


@triton.jit
def _load_frames(p_row, m_block, i_frame, T, H, W, C, FRAMES: tl.constexpr, WHOLE: tl.constexpr, DTYPE: tl.constexpr):
    """A row of each frame."""
    row = ()
    for f in tl.static_range(FRAMES):
        m_frame = m_block & (WHOLE or i_frame + f < T)
        row += (tl.load(p_row + f * tl.cast(H, tl.int64) * (W * C), mask=m_frame, other=0).to(DTYPE),)
    return row


@triton.jit
def _add_row(sums, row, taps, J: tl.constexpr, FRAMES: tl.constexpr, WHOLE: tl.constexpr):
    """Adds a loaded row to a row of results, by the taps of height J; the nine products first."""
    results = ()
    for f in tl.static_range(FRAMES):
        b_sum = tl.zeros_like(row[0])
        for i in tl.static_range(3):
            if not WHOLE or (f + i - 1 >= 0 and f + i - 1 < FRAMES):
                for k in tl.static_range(3):
                    tap, value = taps[9 * i + 3 * J + k], row[3 * (f + i - (1 if WHOLE else 0)) + k]
                    if value.dtype == tl.float16:
                        b_sum = multiply_add_pairs(tap, value, b_sum)
                    else:
                        b_sum += tap * value
        results += (add_pairs(sums[f], b_sum) if b_sum.dtype == tl.float16 else sums[f] + b_sum,)
    return results


@triton.jit
def _add_products(sums, x_next, x_here, x_before, row, FRAMES: tl.constexpr, WHOLE: tl.constexpr):
    """Adds to the gradient of every tap what a loaded row of gradients and the three rows of x around it give."""
    rows = (x_next, x_here, x_before)
    results = ()
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            for k in tl.static_range(3):
                b_sum = sums[9 * i + 3 * j + k]
                for f in tl.static_range(FRAMES):
                    if not WHOLE or (f + i - 1 >= 0 and f + i - 1 < FRAMES):
                        b_sum += rows[j][f] * row[3 * (f + i - (1 if WHOLE else 0)) + k]
                results += (b_sum,)
    return results
