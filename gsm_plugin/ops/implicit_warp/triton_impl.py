"""The implicit warp by Triton kernels: gather and attention at once, nothing but the inputs kept for it backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._triton.cells import cut, landing, sort_by_cell, sum_cells
from gsm_plugin.ops._triton.masks import below

# Rows of a program, one for each pixel and head; forwards, where a thread has one, its warps, and channels that the
# thread has at once.
_ROWS = 32
_FWD_ROWS, _FWD_WARPS, _FWD_PART = 64, 2, 8
# Programs of the backward pass, each of which sums what its pixels give to the positions.
_BWD_PROGRAMS = 2048


def implicit_warp_triton(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    flow: Tensor,
    key_position: Tensor,
    value_position: Tensor,
    num_heads: int,
) -> Tensor:
    """Computes `implicit_warp`, arguments and result as described there, in float32 or better inside."""
    positions = torch.cat((key_position, value_position))
    rows = (rows_of_images(x) for x in (query, key, value))
    return _ImplicitWarp.apply(*rows, flow, positions, num_heads).view(query.shape)


@triton.jit
def pixels_of(i_block, ROWS: tl.constexpr, PADDED: tl.constexpr):
    """Pixel and head of each row; a row per pixel and head."""
    i_row = tl.arange(0, ROWS)
    return i_block * (ROWS // PADDED) + i_row // PADDED, i_row % PADDED


@triton.jit
def rows_of(i_block, ROWS: tl.constexpr, HEADS: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr):
    """Pixel and head of each row, offsets and mask of its channels; a row per pixel and head, (rows, dim)."""
    i_pixel, i_head = pixels_of(i_block, ROWS, PADDED)
    i_dim = tl.arange(0, triton.next_power_of_2(DIM))
    o_c = i_head[:, None] * DIM + i_dim[None, :]
    return i_pixel, i_head, o_c, (i_head < HEADS)[:, None] & (i_dim < DIM)[None, :]


@triton.jit
def cell(p_flow, i_pixel, m_pixel, height, width):
    """Numbers of the four pixels of each cell over all images."""
    i_image, x, y = landing(p_flow, i_pixel, m_pixel, height, width)
    x_0 = cut(tl.floor(x), -1.0, width - 1.0).to(tl.int32)
    y_0 = cut(tl.floor(y), -1.0, height - 1.0).to(tl.int32)
    x_1 = tl.minimum(x_0 + 1, width - 1)
    y_1 = tl.minimum(y_0 + 1, height - 1)
    x_0 = tl.maximum(x_0, 0)
    upper = (i_image * height + tl.maximum(y_0, 0)) * width
    lower = (i_image * height + y_1) * width
    return upper + x_0, upper + x_1, lower + x_0, lower + x_1


@triton.jit
def load_rows(p_x, i_pixel, stride, o_c, mask, DTYPE: tl.constexpr):
    return tl.load(p_x + (i_pixel.to(tl.int64) * stride)[:, None] + o_c, mask, 0.0).to(DTYPE)


@triton.jit
def load_cell(p_x, i_source, stride, p_position, o_c, mask, m_c, DTYPE: tl.constexpr):
    """Keys or values of one pixel of each cell, with what their position adds."""
    return load_rows(p_x, i_source, stride, o_c, mask, DTYPE) + tl.load(p_position + o_c, m_c, 0.0).to(DTYPE)


@triton.jit
def softmax(a, b, c, d):
    highest = tl.maximum(tl.maximum(a, b), tl.maximum(c, d))
    a = tl.exp(a - highest)
    b = tl.exp(b - highest)
    c = tl.exp(c - highest)
    d = tl.exp(d - highest)
    share = 1.0 / ((a + b) + (c + d))
    return a * share, b * share, c * share, d * share


@triton.jit
def part_of(i_head, i, DIM: tl.constexpr, PART: tl.constexpr):
    """Offsets of the i-th so many channels of each row's head, and which of them it has, (rows, PART)."""
    i_dim = i * PART + tl.arange(0, PART)
    return i_head[:, None] * DIM + i_dim[None, :], below(i_dim, DIM, PART)[None, :]


@triton.jit
def attend(
    p_query, p_key, p_value, p_flow, p_key_position, p_value_position, i_pixel, i_head, m_pixel, height, width,
    stride_query, stride_key, stride_value,
    HEADS: tl.constexpr, DIM: tl.constexpr, PART: tl.constexpr, SCALE: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """What each row of pixel and head sees in its cell, in parts (rows, PART), zero where there is no channel.

    A thread has whole parts of a row, so that sums over channels need no other.
    """
    c: tl.constexpr = HEADS * DIM
    m_row = (m_pixel & (i_head < HEADS))[:, None]
    s_0, s_1, s_2, s_3 = cell(p_flow, i_pixel, m_pixel, height, width)
    l_0 = tl.zeros([i_head.shape[0]], DTYPE)
    l_1, l_2, l_3 = l_0, l_0, l_0
    for i in tl.static_range(triton.cdiv(DIM, PART)):
        o_c, m_c = part_of(i_head, i, DIM, PART)
        mask = m_row & m_c
        query = load_rows(p_query, i_pixel, stride_query, o_c, mask, DTYPE) * SCALE
        l_0 += tl.sum(query * load_cell(p_key, s_0, stride_key, p_key_position, o_c, mask, mask, DTYPE), 1)
        l_1 += tl.sum(query * load_cell(p_key, s_1, stride_key, p_key_position + c, o_c, mask, mask, DTYPE), 1)
        l_2 += tl.sum(query * load_cell(p_key, s_2, stride_key, p_key_position + 2 * c, o_c, mask, mask, DTYPE), 1)
        l_3 += tl.sum(query * load_cell(p_key, s_3, stride_key, p_key_position + 3 * c, o_c, mask, mask, DTYPE), 1)
    w_0, w_1, w_2, w_3 = softmax(l_0, l_1, l_2, l_3)
    parts = ()
    for i in tl.static_range(triton.cdiv(DIM, PART)):
        o_c, m_c = part_of(i_head, i, DIM, PART)
        mask = m_row & m_c
        out = w_0[:, None] * load_cell(p_value, s_0, stride_value, p_value_position, o_c, mask, mask, DTYPE)
        out += w_1[:, None] * load_cell(p_value, s_1, stride_value, p_value_position + c, o_c, mask, mask, DTYPE)
        out += w_2[:, None] * load_cell(p_value, s_2, stride_value, p_value_position + 2 * c, o_c, mask, mask, DTYPE)
        out += w_3[:, None] * load_cell(p_value, s_3, stride_value, p_value_position + 3 * c, o_c, mask, mask, DTYPE)
        parts += (out,)
    return parts


@triton.jit
def implicit_warp_fwd_kernel(
    p_query,
    p_key,
    p_value,
    p_flow,
    p_positions,
    p_out,
    pixels,
    height,
    width,
    stride_query,
    stride_key,
    stride_value,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    PART: tl.constexpr,
    SCALE: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """Grid (blocks of pixels,); inputs in rows of any stride, positions (2, 4, c), out (pixels, c)."""
    i_pixel, i_head = pixels_of(tl.program_id(0), ROWS, PADDED)
    m_pixel = i_pixel < pixels
    parts = attend(
        p_query, p_key, p_value, p_flow, p_positions, p_positions + 4 * HEADS * DIM, i_pixel, i_head, m_pixel,
        height, width, stride_query, stride_key, stride_value, HEADS, DIM, PART, SCALE, DTYPE,
    )  # fmt: skip
    p_row = p_out + (i_pixel.to(tl.int64) * (HEADS * DIM))[:, None]
    for i in tl.static_range(triton.cdiv(DIM, PART)):
        o_c, m_c = part_of(i_head, i, DIM, PART)
        tl.store(p_row + o_c, parts[i].to(p_out.dtype.element_ty), (m_pixel & (i_head < HEADS))[:, None] & m_c)


@triton.jit
def give_back(p_sums, p_weights, i_source, weight, rows, o_c, mask, m_row, c, ATOMIC: tl.constexpr):
    """Adds weighted rows to a pixel of each cell, or writes the weights for `sum_cells`; returns the weighted rows."""
    part = weight[:, None] * rows
    if ATOMIC:
        tl.atomic_add(p_sums + (i_source.to(tl.int64) * c)[:, None] + o_c, part, mask, sem='relaxed')
    else:
        tl.store(p_weights, weight, m_row)
    return part


@triton.jit
def implicit_warp_bwd_kernel(
    p_query,
    p_key,
    p_value,
    p_flow,
    p_positions,
    p_grad,
    p_grad_query,
    p_grad_key,
    p_grad_value,
    p_key_weights,
    p_value_weights,
    p_grad_positions,
    pixels,
    height,
    width,
    stride_query,
    stride_key,
    stride_value,
    ATOMIC: tl.constexpr,
    HEADS: tl.constexpr,
    DIM: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,
    SCALE: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """Grid (programs,), each on every so many blocks of pixels; layouts as in the forward pass.

    Gradients to key and value are added up here with ATOMIC, else their weights (pixels, 4, heads) are written for
    `sum_cells`. Each program writes its sum of the gradient to the positions, (programs, 2, 4, c).
    """
    i_first, i_head, o_c, m_c = rows_of(0, ROWS, HEADS, DIM, PADDED)
    c: tl.constexpr = HEADS * DIM
    p_position = p_positions + 4 * c
    k_0 = tl.zeros([ROWS, o_c.shape[1]], DTYPE)
    k_1, k_2, k_3, v_0, v_1, v_2, v_3 = k_0, k_0, k_0, k_0, k_0, k_0, k_0
    for i_block in range(tl.program_id(0), tl.cdiv(pixels, ROWS // PADDED), tl.num_programs(0)):
        i_pixel = i_block * (ROWS // PADDED) + i_first
        m_pixel = i_pixel < pixels
        mask = m_pixel[:, None] & m_c
        m_row = m_pixel & (i_head < HEADS)
        s_0, s_1, s_2, s_3 = cell(p_flow, i_pixel, m_pixel, height, width)
        query = load_rows(p_query, i_pixel, stride_query, o_c, mask, DTYPE)
        grad = load_rows(p_grad, i_pixel, c, o_c, mask, DTYPE)
        key_0 = load_cell(p_key, s_0, stride_key, p_positions, o_c, mask, m_c, DTYPE)
        key_1 = load_cell(p_key, s_1, stride_key, p_positions + c, o_c, mask, m_c, DTYPE)
        key_2 = load_cell(p_key, s_2, stride_key, p_positions + 2 * c, o_c, mask, m_c, DTYPE)
        key_3 = load_cell(p_key, s_3, stride_key, p_positions + 3 * c, o_c, mask, m_c, DTYPE)
        w_0, w_1, w_2, w_3 = softmax(
            tl.sum(query * key_0, 1) * SCALE,
            tl.sum(query * key_1, 1) * SCALE,
            tl.sum(query * key_2, 1) * SCALE,
            tl.sum(query * key_3, 1) * SCALE,
        )
        g_0 = tl.sum(grad * load_cell(p_value, s_0, stride_value, p_position, o_c, mask, m_c, DTYPE), 1)
        g_1 = tl.sum(grad * load_cell(p_value, s_1, stride_value, p_position + c, o_c, mask, m_c, DTYPE), 1)
        g_2 = tl.sum(grad * load_cell(p_value, s_2, stride_value, p_position + 2 * c, o_c, mask, m_c, DTYPE), 1)
        g_3 = tl.sum(grad * load_cell(p_value, s_3, stride_value, p_position + 3 * c, o_c, mask, m_c, DTYPE), 1)
        mean = (w_0 * g_0 + w_1 * g_1) + (w_2 * g_2 + w_3 * g_3)
        # from here on, gradients to the logits
        g_0 = w_0 * (g_0 - mean) * SCALE
        g_1 = w_1 * (g_1 - mean) * SCALE
        g_2 = w_2 * (g_2 - mean) * SCALE
        g_3 = w_3 * (g_3 - mean) * SCALE
        grad_query = g_0[:, None] * key_0 + g_1[:, None] * key_1 + g_2[:, None] * key_2 + g_3[:, None] * key_3
        p_row = p_grad_query + (i_pixel.to(tl.int64) * c)[:, None]
        tl.store(p_row + o_c, grad_query.to(p_grad_query.dtype.element_ty), mask)
        o_weight = i_pixel.to(tl.int64) * (4 * HEADS) + i_head
        p_gs = p_key_weights + o_weight
        p_ws = p_value_weights + o_weight
        k_0 += give_back(p_grad_key, p_gs, s_0, g_0, query, o_c, mask, m_row, c, ATOMIC)
        k_1 += give_back(p_grad_key, p_gs + HEADS, s_1, g_1, query, o_c, mask, m_row, c, ATOMIC)
        k_2 += give_back(p_grad_key, p_gs + 2 * HEADS, s_2, g_2, query, o_c, mask, m_row, c, ATOMIC)
        k_3 += give_back(p_grad_key, p_gs + 3 * HEADS, s_3, g_3, query, o_c, mask, m_row, c, ATOMIC)
        v_0 += give_back(p_grad_value, p_ws, s_0, w_0, grad, o_c, mask, m_row, c, ATOMIC)
        v_1 += give_back(p_grad_value, p_ws + HEADS, s_1, w_1, grad, o_c, mask, m_row, c, ATOMIC)
        v_2 += give_back(p_grad_value, p_ws + 2 * HEADS, s_2, w_2, grad, o_c, mask, m_row, c, ATOMIC)
        v_3 += give_back(p_grad_value, p_ws + 3 * HEADS, s_3, w_3, grad, o_c, mask, m_row, c, ATOMIC)
    p_sum = p_grad_positions + tl.program_id(0) * (8 * c)
    store_sum(p_sum, k_0, HEADS, DIM, PADDED)
    store_sum(p_sum + c, k_1, HEADS, DIM, PADDED)
    store_sum(p_sum + 2 * c, k_2, HEADS, DIM, PADDED)
    store_sum(p_sum + 3 * c, k_3, HEADS, DIM, PADDED)
    store_sum(p_sum + 4 * c, v_0, HEADS, DIM, PADDED)
    store_sum(p_sum + 5 * c, v_1, HEADS, DIM, PADDED)
    store_sum(p_sum + 6 * c, v_2, HEADS, DIM, PADDED)
    store_sum(p_sum + 7 * c, v_3, HEADS, DIM, PADDED)


@triton.jit
def store_sum(p_out, rows, HEADS: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr):
    """Stores the sum over the pixels of a block, (heads, dim)."""
    _, _, o_c, m_c = rows_of(0, PADDED, HEADS, DIM, PADDED)
    total = tl.sum(tl.reshape(rows, [rows.shape[0] // PADDED, PADDED, rows.shape[1]]), 0)
    tl.store(p_out + o_c, total, m_c)


class _ImplicitWarp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor, flow: Tensor, positions: Tensor, heads: int) -> Tensor:
        flow = flow.contiguous()
        ctx.save_for_backward(query, key, value, flow, positions)
        ctx.heads = heads
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        if out.numel():
            sizes, settings = _sizes(query, key, value, flow), forward_settings(query, heads)
            grid = (triton.cdiv(len(query) * settings['PADDED'], settings['ROWS']),)
            implicit_warp_fwd_kernel[grid](query, key, value, flow, positions, out, **sizes, **settings)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, flow, positions = tensors = ctx.saved_tensors
        if not query.numel():
            return *(torch.zeros_like(x) for x in (query, key, value)), None, torch.zeros_like(positions), None
        atomic = not torch.are_deterministic_algorithms_enabled()
        precision = torch.promote_types(query.dtype, torch.float32)
        grad_out, shape = grad_out.contiguous(), query.shape
        grad_query = torch.empty_like(grad_out)
        sums = query.new_zeros((2, *shape) if atomic else (2, 0), dtype=precision)
        weights = query.new_empty((2, 0) if atomic else (2, shape[0], 4, ctx.heads), dtype=precision)
        settings = _settings(query, ctx.heads, _ROWS)
        programs = min(_BWD_PROGRAMS, triton.cdiv(shape[0] * settings['PADDED'], settings['ROWS']))
        grad_positions = query.new_empty((programs, 8, shape[1]), dtype=precision)
        implicit_warp_bwd_kernel[(programs,)](
            *tensors,
            grad_out,
            grad_query,
            *sums,
            *weights,
            grad_positions,
            **_sizes(query, key, value, flow),
            ATOMIC=atomic,
            **settings,
        )
        if atomic:
            grad_key, grad_value = sums.to(key.dtype)
        else:
            cells, size = sort_by_cell(flow), flow.shape[2:]
            grad_key = sum_cells(query, weights[0], cells, size, True, torch.empty_like(grad_out))
            grad_value = sum_cells(grad_out, weights[1], cells, size, True, torch.empty_like(grad_out))
        return grad_query, grad_key, grad_value, None, grad_positions.sum(0).to(positions.dtype), None


def rows_of_images(x: Tensor) -> Tensor:
    """Features (n, h, w, c) as rows (n * h * w, c) with any stride between them."""
    rows = x.flatten(0, 2)
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _sizes(query: Tensor, key: Tensor, value: Tensor, flow: Tensor) -> dict[str, int]:
    strides = {'stride_query': query.stride(0), 'stride_key': key.stride(0), 'stride_value': value.stride(0)}
    return {'pixels': len(query), 'height': flow.shape[2], 'width': flow.shape[3], **strides}


def forward_settings(query: Tensor, heads: int) -> dict:
    """Constants of kernels that `attend`, for queries in rows (pixels, c)."""
    settings = _settings(query, heads, _FWD_ROWS)
    return settings | {'PART': min(_FWD_PART, triton.next_power_of_2(settings['DIM'])), 'num_warps': _FWD_WARPS}


def _settings(query: Tensor, heads: int, rows: int) -> dict:
    padded = triton.next_power_of_2(heads)
    return {
        'HEADS': heads,
        'DIM': query.shape[1] // heads,
        'PADDED': padded,
        'ROWS': max(rows, padded),
        # a constant, since arguments of kernels are float32
        'SCALE': (query.shape[1] // heads) ** -0.5,
        'DTYPE': tl.float64 if query.dtype == torch.float64 else tl.float32,
    }
