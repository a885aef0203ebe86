"""Residual sum and layer norm by one Triton kernel per direction: every value is read and written once."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

# Values of a program at once, a warp for each 256.
_BLOCK, _BWD_BLOCK = 2048, 1024
# Programs of the backward pass, each of which adds up what its rows give to the parameters.
_BWD_PROGRAMS = 1056


def residual_norm_triton(
    x: Tensor,
    update: Tensor | None,
    scale: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
    into: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Computes the sum (x itself without `update`) and its layer norm in `dtype` (None without `weight`)."""
    if update is None:
        return x, _Norm.apply(x, weight, bias, eps, dtype)
    update = update.contiguous()
    if into is not None:
        total = into if into.is_contiguous() else torch.empty(x.shape, dtype=into.dtype, device=x.device)
        normed = None if weight is None else torch.empty(x.shape, dtype=dtype, device=x.device)
        _forward(x, update, scale, weight, bias, total, normed, eps)
        return total if total is into else into.copy_(total), normed
    if weight is None:
        return _Sum.apply(x, update, scale), None
    return _SumAndNorm.apply(x, update, scale, weight, bias, eps, dtype)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        normed = torch.empty(x.shape, dtype=dtype, device=x.device)
        _forward(x, None, None, weight, bias, None, normed, eps)
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        grad_x, _, _, grad_weight, grad_bias = _backward(x, x, None, weight, None, grad, None, ctx.eps)
        return grad_x, grad_weight, grad_bias, None, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, update: Tensor, scale: Tensor | None) -> Tensor:
        total = _empty_sum(x, update, scale)
        _forward(x, update, scale, None, None, total, None, 0.0)
        ctx.save_for_backward(x, scale)
        ctx.dtype = update.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, scale = ctx.saved_tensors
        return _backward(x, x, scale, None, grad, None, ctx.dtype, 0.0)[:3]


class _SumAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, update, scale, weight, bias, eps, dtype) -> tuple[Tensor, Tensor]:
        total = _empty_sum(x, update, scale)
        normed = torch.empty(x.shape, dtype=dtype, device=x.device)
        _forward(x, update, scale, weight, bias, total, normed, eps)
        ctx.save_for_backward(x, total, scale, weight)
        ctx.eps, ctx.dtype = eps, update.dtype
        return total, normed

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_total: Tensor, grad_normed: Tensor):
        x, total, scale, weight = ctx.saved_tensors
        return *_backward(x, total, scale, weight, grad_total, grad_normed, ctx.dtype, ctx.eps), None, None


class _Rows(NamedTuple):
    """Rows of a tensor of any strides: three axes, one before the other, and how far apart their steps are."""

    values: Tensor
    middle: int
    inner: int
    strides: tuple[int, int, int]


def _rows(x: Tensor) -> _Rows:
    """Joins axes; copies where more than three are left, or where channels are apart."""
    axes: list[tuple[int, int]] = []
    for size, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * stride:
            axes[-1] = axes[-1][0] * size, stride
        else:
            axes.append((size, stride))
    if len(axes) > 3 or x.stride(-1) != 1:
        return _rows(x.contiguous())
    axes = [(1, 0)] * (3 - len(axes)) + axes
    return _Rows(x, axes[1][0], axes[2][0], (axes[0][1], axes[1][1], axes[2][1]))


def _empty_sum(x: Tensor, update: Tensor, scale: Tensor | None) -> Tensor:
    dtype = torch.promote_types(x.dtype, update.dtype)
    dtype = dtype if scale is None else torch.promote_types(dtype, scale.dtype)
    return torch.empty(x.shape, dtype=dtype, device=x.device)


def _forward(
    x: Tensor,
    update: Tensor | None,
    scale: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    total: Tensor | None,
    normed: Tensor | None,
    eps: float,
) -> None:
    if not x.numel():
        return
    rows, count, c = _rows(x), x.numel() // x.shape[-1], x.shape[-1]
    settings = _settings(c, _BLOCK, x)
    residual_norm_fwd_kernel[triton.cdiv(count, settings['ROWS']),](
        rows.values, update, scale, weight, bias, total, normed,
        count, c, rows.middle, rows.inner, *rows.strides, eps,
        SUM=update is not None, SCALE=scale is not None, NORM=weight is not None, **settings,
    )  # fmt: skip


def _backward(
    x: Tensor,
    total: Tensor,
    scale: Tensor | None,
    weight: Tensor | None,
    grad_total: Tensor | None,
    grad_normed: Tensor | None,
    update_dtype: torch.dtype | None,
    eps: float,
) -> tuple[Tensor | None, ...]:
    """Gradients of x, update, scale, weight and bias; None where there is none."""
    c = x.shape[-1]
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    # without a scale and in the same type, both terms have the same gradient
    shared = update_dtype is None or (scale is None and update_dtype == x.dtype)
    grad_update = grad_x if shared else torch.empty(x.shape, dtype=update_dtype, device=x.device)
    settings, count = _settings(c, _BWD_BLOCK, x), x.numel() // c
    programs = max(1, min(_BWD_PROGRAMS, triton.cdiv(count, settings['ROWS'])))
    precision = torch.float64 if x.dtype == torch.float64 else torch.float32
    partial = torch.empty(programs, 3, c, dtype=precision, device=x.device)
    if x.numel():
        rows = _rows(x)
        grads = [None if grad is None else grad.contiguous() for grad in (grad_total, grad_normed)]
        residual_norm_bwd_kernel[programs,](
            rows.values, total, scale, weight, *grads, grad_x, grad_update, partial,
            count, c, rows.middle, rows.inner, *rows.strides, eps,
            SAME=total is x, SCALE=scale is not None, NORM=weight is not None,
            TOTAL=grad_total is not None, SHARED=shared, **settings,
        )  # fmt: skip
    else:
        partial.zero_()
    # Parameters have one type, that of the weights of the network.
    sums = partial.sum(0)
    grad_scale = None if scale is None else sums[0].to(scale.dtype)
    grad_weight, grad_bias = (None, None) if weight is None else sums[1:].to(weight.dtype)
    return grad_x, None if update_dtype is None else grad_update, grad_scale, grad_weight, grad_bias


def _settings(channels: int, block: int, x: Tensor) -> dict:
    padded = triton.next_power_of_2(channels)
    rows = max(1, block // padded)
    return {
        'ROWS': rows,
        'CHANNELS': padded,
        'DTYPE': tl.float64 if x.dtype == torch.float64 else tl.float32,
        'num_warps': min(8, max(1, rows * padded // 256)),
    }


@triton.jit
def residual_norm_fwd_kernel(
    p_x, p_update, p_scale, p_weight, p_bias, p_total, p_normed,
    count, C, MIDDLE, INNER, S0, S1, S2, eps,
    SUM: tl.constexpr, SCALE: tl.constexpr, NORM: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of rows); x in rows of any strides, everything else (count, c)."""
    i_row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    i_c = tl.arange(0, CHANNELS)
    m_c = i_c < C
    mask = (i_row < count)[:, None] & m_c[None, :]
    o_row = i_row.to(tl.int64)[:, None] * C + i_c[None, :]
    b_total = tl.load(p_x + _place(i_row, i_c, MIDDLE, INNER, S0, S1, S2), mask, 0.0).to(DTYPE)
    if SUM:
        if SCALE:
            b_total *= tl.load(p_scale + i_c, m_c, 0.0).to(DTYPE)[None, :]
        b_total += tl.load(p_update + o_row, mask, 0.0).to(DTYPE)
        # the norm is that of the sum in the type in which it is stored
        b_total = b_total.to(p_total.dtype.element_ty).to(DTYPE)
        tl.store(p_total + o_row, b_total.to(p_total.dtype.element_ty), mask)
    if NORM:
        b_normal, _ = normalise(b_total, mask, C, eps)
        b_weight = tl.load(p_weight + i_c, m_c, 0.0).to(DTYPE)[None, :]
        b_normal = b_normal * b_weight + tl.load(p_bias + i_c, m_c, 0.0).to(DTYPE)[None, :]
        tl.store(p_normed + o_row, b_normal.to(p_normed.dtype.element_ty), mask)


@triton.jit
def residual_norm_bwd_kernel(
    p_x, p_total, p_scale, p_weight, p_grad_total, p_grad_normed, p_grad_x, p_grad_update, p_partial,
    count, C, MIDDLE, INNER, S0, S1, S2, eps,
    SAME: tl.constexpr, SCALE: tl.constexpr, NORM: tl.constexpr, TOTAL: tl.constexpr, SHARED: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (programs), each on every so many blocks of rows; partial (programs, 3, c): gradients of scale, weight and
    bias. SAME: the sum is x. TOTAL: the sum has a gradient of its own. SHARED: update has no gradient of its own."""
    i_c = tl.arange(0, CHANNELS)
    m_c = i_c < C
    b_scale_sum = tl.zeros([ROWS, CHANNELS], DTYPE)
    b_weight_sum = tl.zeros([ROWS, CHANNELS], DTYPE)
    b_bias_sum = tl.zeros([ROWS, CHANNELS], DTYPE)
    for i_block in range(tl.program_id(0), tl.cdiv(count, ROWS), tl.num_programs(0)):
        i_row = i_block * ROWS + tl.arange(0, ROWS)
        mask = (i_row < count)[:, None] & m_c[None, :]
        o_row = i_row.to(tl.int64)[:, None] * C + i_c[None, :]
        o_x = _place(i_row, i_c, MIDDLE, INNER, S0, S1, S2)
        b_grad = tl.zeros([ROWS, CHANNELS], DTYPE)
        if TOTAL:
            b_grad += tl.load(p_grad_total + o_row, mask, 0.0).to(DTYPE)
        if NORM:
            b_total = tl.load(p_x + o_x if SAME else p_total + o_row, mask, 0.0).to(DTYPE)
            b_normal, b_inverse = normalise(b_total, mask, C, eps)
            b_above = tl.load(p_grad_normed + o_row, mask, 0.0).to(DTYPE)
            b_weight_sum += b_above * b_normal
            b_bias_sum += b_above
            b_above *= tl.load(p_weight + i_c, m_c, 0.0).to(DTYPE)[None, :]
            b_mean = tl.sum(b_above, 1) / C
            b_slope = tl.sum(b_above * b_normal, 1) / C
            b_grad += (b_above - b_mean[:, None] - b_normal * b_slope[:, None]) * b_inverse[:, None]
        if not SHARED:
            tl.store(p_grad_update + o_row, b_grad.to(p_grad_update.dtype.element_ty), mask)
        if SCALE:
            b_scale_sum += b_grad * tl.load(p_x + o_x, mask, 0.0).to(DTYPE)
            b_grad *= tl.load(p_scale + i_c, m_c, 0.0).to(DTYPE)[None, :]
        tl.store(p_grad_x + o_row, b_grad.to(p_grad_x.dtype.element_ty), mask)
    p_sum = p_partial + tl.program_id(0) * 3 * C + i_c
    tl.store(p_sum, tl.sum(b_scale_sum, 0), m_c)
    tl.store(p_sum + C, tl.sum(b_weight_sum, 0), m_c)
    tl.store(p_sum + 2 * C, tl.sum(b_bias_sum, 0), m_c)


@triton.jit
def _place(i_row, i_c, MIDDLE, INNER, S0, S1, S2):
    """Offsets of rows that are numbered along three axes."""
    i_outer = i_row // INNER
    o_row = (i_outer // MIDDLE).to(tl.int64) * S0 + (i_outer % MIDDLE).to(tl.int64) * S1
    return (o_row + (i_row % INNER).to(tl.int64) * S2)[:, None] + i_c[None, :]


@triton.jit
def normalise(b_x, mask, C, eps):
    """Rows with mean 0 and variance 1, and the inverse of their standard deviations."""
    b_centred = tl.where(mask, b_x - (tl.sum(b_x, 1) / C)[:, None], 0.0)
    b_inverse = 1.0 / tl.sqrt(tl.sum(b_centred * b_centred, 1) / C + eps)
    return b_centred * b_inverse[:, None], b_inverse
