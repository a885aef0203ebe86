"""GEGLU's gate by one Triton kernel per direction."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._triton.normal import normal_distribution

_ROWS, _CHANNELS = 16, 128


def gated_gelu_triton(hidden: Tensor) -> Tensor:
    """Computes `gated_gelu`, argument and result as described there, in float32 (float64 in float64)."""
    return _GatedGelu.apply(hidden.contiguous())


class _GatedGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        output = hidden.new_empty(*hidden.shape[:-1], hidden.shape[-1] // 2)
        _launch(gated_gelu_fwd_kernel, hidden, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        (hidden,) = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden)
        _launch(gated_gelu_bwd_kernel, hidden, grad.contiguous(), grad_hidden)
        return grad_hidden


def _launch(kernel, hidden: Tensor, *tensors: Tensor) -> None:
    if not hidden.numel():
        return
    channels = hidden.shape[-1] // 2
    rows = hidden.numel() // hidden.shape[-1]
    grid = triton.cdiv(rows, _ROWS) * triton.cdiv(channels, _CHANNELS)
    dtype = tl.float64 if hidden.dtype == torch.float64 else tl.float32
    kernel[grid,](hidden, *tensors, rows, channels, ROWS=_ROWS, CHANNELS=_CHANNELS, DTYPE=dtype, num_warps=4)


@triton.jit
def gated_gelu_fwd_kernel(
    p_hidden, p_output, rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr, DTYPE: tl.constexpr
):
    """Grid (row blocks * channel blocks); hidden (rows, 2 channels), output (rows, channels)."""
    o_gate, o_output, mask = _place(rows, channels, ROWS, CHANNELS)
    b_gate = tl.load(p_hidden + o_gate, mask=mask).to(DTYPE)
    b_value = tl.load(p_hidden + o_gate + channels, mask=mask).to(DTYPE)
    b_distribution, _ = normal_distribution(b_gate)
    tl.store(p_output + o_output, (b_gate * b_distribution * b_value).to(p_output.dtype.element_ty), mask=mask)


@triton.jit
def gated_gelu_bwd_kernel(
    p_hidden, p_grad, p_grad_hidden, rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr, DTYPE: tl.constexpr
):
    """Grid as forward; hidden and grad_hidden (rows, 2 channels), grad (rows, channels)."""
    o_gate, o_output, mask = _place(rows, channels, ROWS, CHANNELS)
    b_gate = tl.load(p_hidden + o_gate, mask=mask).to(DTYPE)
    b_value = tl.load(p_hidden + o_gate + channels, mask=mask).to(DTYPE)
    b_grad = tl.load(p_grad + o_output, mask=mask).to(DTYPE)
    b_distribution, b_density = normal_distribution(b_gate)
    b_grad_gate = b_grad * b_value * (b_distribution + b_gate * b_density)
    b_grad_value = b_grad * b_gate * b_distribution
    tl.store(p_grad_hidden + o_gate, b_grad_gate.to(p_grad_hidden.dtype.element_ty), mask=mask)
    tl.store(p_grad_hidden + o_gate + channels, b_grad_value.to(p_grad_hidden.dtype.element_ty), mask=mask)


@triton.jit
def _place(rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    """Offsets of this program's gates in (rows, 2 channels) and results in (rows, channels), and which exist."""
    channel_blocks = tl.cdiv(channels, CHANNELS)
    i_row = tl.program_id(0) // channel_blocks * ROWS + tl.arange(0, ROWS)[:, None]
    i_channel = tl.program_id(0) % channel_blocks * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    o_output = i_row.to(tl.int64) * channels + i_channel
    return o_output + i_row.to(tl.int64) * channels, o_output, (i_row < rows) & (i_channel < channels)
