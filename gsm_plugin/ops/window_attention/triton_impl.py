"""Window attention by one Triton kernel per direction that reads the unshifted, unpadded volume in place.

A program stays with one head and walks over many windows, so that the bias is loaded, and its gradient kept, once.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops.window_attention.naive import MASKED
from gsm_plugin.switches import tf32

Size3d = tuple[int, int, int]

_LOG2E = math.log2(math.e)
# Queries of a program, which has all keys of a window; the backward pass has all queries, too.
_ROWS, _BWD_ROWS = 64, 128
# Rows of a product of matrices for a warp. With fewer, Triton 3.6 makes kernels for float32 that read out of bounds.
_ROWS_PER_WARP = 16
# Windows in shared memory at a time.
_STAGES, _BWD_STAGES = 3, 2
# Programs for each multiprocessor: several rounds of them even out their ends, but each one loads the bias, and in the
# backward pass stores its gradient.
_PROGRAMS, _BWD_PROGRAMS = 4, 1
# Of the kernels that spill some: on Ampere, the assembler would otherwise give a thread 32 and spill the rest.
_REGISTERS = 255


def window_attention_triton(qkv: Tensor, bias: Tensor, window_size: Size3d, shift_size: Size3d) -> Tensor:
    """Computes `window_attention`, arguments and result as described there; softmax and sums in float32."""
    bias = bias if bias.stride(2) == 1 else bias.contiguous()
    return _WindowAttention.apply(qkv.contiguous(), bias, window_size, shift_size)


class _WindowAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv: Tensor, bias: Tensor, window_size: Size3d, shift_size: Size3d) -> Tensor:
        ctx.save_for_backward(qkv, bias)
        by_tf32 = tf32.products.is_on()
        ctx.how = window_size, shift_size, by_tf32
        output = qkv.new_empty(*qkv.shape[:4], qkv.shape[4] // 3)
        if output.numel():
            call = _plan(qkv, bias, window_size, shift_size, by_tf32, _ROWS, _PROGRAMS)
            constants = {**call.constants, 'ROWS': call.rows, 'STAGES': _stages(call, qkv, _STAGES)}
            window_attention_fwd_kernel[call.programs,](
                qkv, bias, output, *bias.stride()[:2], **call.sizes, **constants,
                num_warps=call.rows // _ROWS_PER_WARP,
                maxnreg=_REGISTERS if qkv.dtype == torch.float32 else None,
            )  # fmt: skip
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        qkv, bias = ctx.saved_tensors
        grad_qkv = torch.empty_like(qkv)
        if not qkv.numel():
            return grad_qkv, torch.zeros_like(bias), None, None
        window_size, shift_size, by_tf32 = ctx.how
        call = _plan(qkv, bias, window_size, shift_size, by_tf32, _BWD_ROWS, _BWD_PROGRAMS)
        partial = torch.empty(call.chunks, *bias.shape, dtype=torch.float32, device=qkv.device)
        window_attention_bwd_kernel[call.programs,](
            qkv, bias, grad.contiguous(), grad_qkv, partial, *bias.stride()[:2], **call.sizes, **call.constants,
            STAGES=_stages(call, qkv, _BWD_STAGES), num_warps=call.rows // _ROWS_PER_WARP, maxnreg=_REGISTERS,
        )  # fmt: skip
        return grad_qkv, partial.sum(0).to(bias.dtype), None, None


class _Call(NamedTuple):
    """How a call is shared out: `chunks` programs for every head and every `rows` queries of a window."""

    programs: int
    chunks: int
    rows: int
    sizes: dict[str, int]
    constants: dict


def _plan(
    qkv: Tensor, bias: Tensor, window_size: Size3d, shift_size: Size3d, by_tf32: bool, most_rows: int, programs: int
) -> _Call:
    heads, tokens = bias.shape[:2]
    channels = qkv.shape[4] // 3
    counts = [triton.cdiv(side, size) for side, size in zip(qkv.shape[1:4], window_size, strict=True)]
    windows = len(qkv) * math.prod(counts)
    multiprocessors = torch.cuda.get_device_properties(qkv.device).multi_processor_count if qkv.is_cuda else 1
    per_chunk = max(1, triton.cdiv(windows * heads, programs * multiprocessors))
    chunks = triton.cdiv(windows, per_chunk)
    constants = _constants(tokens, channels // heads, window_size, any(shift_size), by_tf32)
    rows = min(most_rows, constants['BLOCK'])
    axes = {**_named('', qkv.shape[1:4]), **_named('N', counts), **_named('S', shift_size)}
    sizes = {**axes, 'HEADS': heads, 'C': channels, 'WINDOWS': windows, 'PER_CHUNK': per_chunk}
    return _Call(chunks * heads * (constants['BLOCK'] // rows), chunks, rows, sizes, constants)


def _constants(tokens: int, dim: int, window_size: Size3d, shifted: bool, by_tf32: bool) -> dict:
    return {
        **_named('W', window_size),
        'DIM': dim,
        'BLOCK': max(16, triton.next_power_of_2(tokens)),
        'BLOCK_DIM': max(16, triton.next_power_of_2(dim)),
        'SHIFTED': shifted,
        'MASK': MASKED,
        'SCALE': dim**-0.5,
        'LOG2E': _LOG2E,
        # three products by TF32 are as exact as one in float32, and run on tensor cores
        'PRECISION': 'tf32' if by_tf32 else 'tf32x3',
    }


def _named(prefix: str, sizes: Iterable[int]) -> dict[str, int]:
    """Sizes along depth, height and width by the names that the kernels have for them."""
    return {f'{prefix}{axis}': size for axis, size in zip('DHW', sizes, strict=True)}


def _stages(call: _Call, qkv: Tensor, most: int) -> int:
    """How many windows are in shared memory at a time; wide rows leave room for one on smaller GPUs."""
    return most if call.constants['BLOCK_DIM'] * qkv.element_size() <= 64 else 1


@triton.jit
def window_attention_fwd_kernel(
    p_qkv, p_bias, p_output, stride_head, stride_query,
    D, H, W, ND, NH, NW, SD, SH, SW, HEADS, C, WINDOWS, PER_CHUNK,
    WD: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
    BLOCK_DIM: tl.constexpr, SHIFTED: tl.constexpr, MASK: tl.constexpr, SCALE: tl.constexpr, LOG2E: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Grid (chunks of windows * heads * parts of a window's queries); qkv (b, d, h, w, 3 c), bias (heads, n, n),
    its rows contiguous, output (b, d, h, w, c)."""
    i_query = tl.program_id(0) % (BLOCK // ROWS) * ROWS + tl.arange(0, ROWS)
    i_head = tl.program_id(0) // (BLOCK // ROWS) % HEADS
    i_first = tl.program_id(0) // (BLOCK // ROWS * HEADS) * PER_CHUNK
    b_bias = _load_bias(p_bias + i_head * stride_head, stride_query, i_query, WD * WH * WW, BLOCK) * LOG2E
    o_channel = i_head * DIM + tl.arange(0, BLOCK_DIM)
    m_channel = tl.arange(0, BLOCK_DIM) < DIM
    for i_window in tl.range(i_first, tl.minimum(i_first + PER_CHUNK, WINDOWS), num_stages=STAGES):
        i_token, m_token, region = _tokens(i_window, i_query, D, H, W, ND, NH, NW, SD, SH, SW, WD, WH, WW)
        j_token, n_token, j_region = _tokens(i_window, tl.arange(0, BLOCK), D, H, W, ND, NH, NW, SD, SH, SW, WD, WH, WW)
        m_block = m_token[:, None] & m_channel[None, :]
        n_block = n_token[:, None] & m_channel[None, :]
        p_k = p_qkv + j_token[:, None] * 3 * C + o_channel[None, :] + C
        b_q = tl.load(p_qkv + i_token[:, None] * 3 * C + o_channel[None, :], mask=m_block, other=0)
        b_k = tl.load(p_k, mask=n_block, other=0)
        b_v = tl.load(p_k + C, mask=n_block, other=0)
        b_logit = _logits(b_q, b_k, b_bias, region, j_region, SHIFTED, MASK, SCALE, LOG2E, PRECISION)
        b_weight = tl.exp2(b_logit - tl.max(b_logit, 1)[:, None])
        b_sum = tl.sum(b_weight, 1)
        b_output = tl.dot(b_weight.to(b_v.dtype), b_v, input_precision=PRECISION) / b_sum[:, None]
        p_o = p_output + i_token[:, None] * C + o_channel[None, :]
        tl.store(p_o, b_output.to(p_output.dtype.element_ty), mask=m_block)


@triton.jit
def window_attention_bwd_kernel(
    p_qkv, p_bias, p_grad, p_grad_qkv, p_partial, stride_head, stride_query,
    D, H, W, ND, NH, NW, SD, SH, SW, HEADS, C, WINDOWS, PER_CHUNK,
    WD: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr, DIM: tl.constexpr, BLOCK: tl.constexpr,
    BLOCK_DIM: tl.constexpr, SHIFTED: tl.constexpr, MASK: tl.constexpr, SCALE: tl.constexpr, LOG2E: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Grid (chunks of windows * heads); layout as forward, grad (b, d, h, w, c), partial (chunks, heads, n, n): what
    each chunk adds to the gradient of the bias."""
    i_head = tl.program_id(0) % HEADS
    i_chunk = tl.program_id(0) // HEADS
    i_first = i_chunk * PER_CHUNK
    o_channel = i_head * DIM + tl.arange(0, BLOCK_DIM)
    m_channel = tl.arange(0, BLOCK_DIM) < DIM
    b_bias = _load_bias(p_bias + i_head * stride_head, stride_query, tl.arange(0, BLOCK), WD * WH * WW, BLOCK) * LOG2E
    b_grad_bias = tl.zeros((BLOCK, BLOCK), tl.float32)
    for i_window in tl.range(i_first, tl.minimum(i_first + PER_CHUNK, WINDOWS), num_stages=STAGES):
        i_token, m_token, region = _tokens(i_window, tl.arange(0, BLOCK), D, H, W, ND, NH, NW, SD, SH, SW, WD, WH, WW)
        o_q = i_token[:, None] * 3 * C + o_channel[None, :]
        m_block = m_token[:, None] & m_channel[None, :]
        b_q = tl.load(p_qkv + o_q, mask=m_block, other=0)
        b_k = tl.load(p_qkv + o_q + C, mask=m_block, other=0)
        b_v = tl.load(p_qkv + o_q + 2 * C, mask=m_block, other=0)
        b_grad = tl.load(p_grad + i_token[:, None] * C + o_channel[None, :], mask=m_block, other=0)
        b_logit = _logits(b_q, b_k, b_bias, region, region, SHIFTED, MASK, SCALE, LOG2E, PRECISION)
        b_weight = tl.exp2(b_logit - tl.max(b_logit, 1)[:, None])
        b_weight = b_weight / tl.sum(b_weight, 1)[:, None]
        b_grad_v = tl.dot(tl.trans(b_weight.to(b_v.dtype)), b_grad, input_precision=PRECISION)
        tl.store(p_grad_qkv + o_q + 2 * C, b_grad_v.to(p_grad_qkv.dtype.element_ty), mask=m_block)
        b_grad_weight = tl.dot(b_grad, tl.trans(b_v), input_precision=PRECISION)
        b_mean = tl.sum(b_weight * b_grad_weight, 1)
        b_grad_logit = b_weight * (b_grad_weight - b_mean[:, None])
        b_grad_bias += b_grad_logit
        b_rounded = b_grad_logit.to(b_q.dtype)
        b_grad_q = tl.dot(b_rounded, b_k, input_precision=PRECISION) * SCALE
        tl.store(p_grad_qkv + o_q, b_grad_q.to(p_grad_qkv.dtype.element_ty), mask=m_block)
        b_grad_k = tl.dot(tl.trans(b_rounded), b_q, input_precision=PRECISION) * SCALE
        tl.store(p_grad_qkv + o_q + C, b_grad_k.to(p_grad_qkv.dtype.element_ty), mask=m_block)
    i, j = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    N: tl.constexpr = WD * WH * WW
    p_sum = p_partial + (i_chunk * HEADS + i_head).to(tl.int64) * N * N
    tl.store(p_sum + i * N + j, b_grad_bias, mask=(i < N) & (j < N))


@triton.jit
def _load_bias(p_bias, stride, i_query, N: tl.constexpr, BLOCK: tl.constexpr):
    """The bias of a head, with -inf for keys beyond the window, which fills the block up to a power of two."""
    i, j = i_query[:, None], tl.arange(0, BLOCK)[None, :]
    b_bias = tl.load(p_bias + i * stride + j, mask=(i < N) & (j < N), other=0).to(tl.float32)
    return tl.where(j < N, b_bias, float('-inf'))


@triton.jit
def _tokens(
    i_window, i, D, H, W, ND, NH, NW, SD, SH, SW, WD: tl.constexpr, WH: tl.constexpr, WW: tl.constexpr
):  # fmt: skip
    """Where the tokens of a window are in the unshifted volume, which of them exist, and their regions by number."""
    i_batch, i_window = i_window // (ND * NH * NW), i_window % (ND * NH * NW)
    d, part_d = _along_axis(i_window // (NH * NW), i // (WH * WW), ND, SD, WD)
    h, part_h = _along_axis(i_window // NW % NH, i // WW % WH, NH, SH, WH)
    w, part_w = _along_axis(i_window % NW, i % WW, NW, SW, WW)
    i_token = (((i_batch * D + d) * H + h) * W + w).to(tl.int64)
    m_token = (i < WD * WH * WW) & (d < D) & (h < H) & (w < W)
    return i_token, m_token, 4 * part_d + 2 * part_h + part_w


@triton.jit
def _along_axis(i_window, i, COUNT, SHIFT, SIZE: tl.constexpr):
    """Positions along an axis, and 1 for those in the last window that came around from the start of the axis."""
    position = i_window * SIZE + i + SHIFT
    position = tl.where(position >= COUNT * SIZE, position - COUNT * SIZE, position)
    return position, ((i_window == COUNT - 1) & (i >= SIZE - SHIFT)).to(tl.int32)


@triton.jit
def _logits(
    b_q, b_k, b_bias, region_q, region_k,
    SHIFTED: tl.constexpr, MASK: tl.constexpr, SCALE: tl.constexpr, LOG2E: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Logits to the base 2, masked between the regions of a window."""
    b_logit = tl.dot(b_q, tl.trans(b_k), input_precision=PRECISION)
    if SHIFTED:
        # The mask as a product of matrices with a column per region takes no registers for the regions of pairs.
        i_region = tl.arange(0, 16)[None, :]
        b_left = tl.where(region_q[:, None] == i_region, MASK / SCALE, 0.0).to(b_q.dtype)
        b_right = tl.where(region_k[:, None] == i_region, 0.0, 1.0).to(b_q.dtype)
        b_logit = tl.dot(b_left, tl.trans(b_right), b_logit, input_precision=PRECISION)
    return b_logit * (SCALE * LOG2E) + b_bias
