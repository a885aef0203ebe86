"""The rest of an attention block by one Triton kernel, which keeps what is between in registers."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._triton.launching import pointers
from gsm_plugin.ops._triton.masks import below
from gsm_plugin.ops._triton.normal import gelu_pairs
from gsm_plugin.ops.gated_feed_forward.interface import FeedForward
from gsm_plugin.ops.gated_feed_forward.torch_impl import empty_output

# Rows of a program and its warps, channels that it multiplies at once, and weights of how many such steps are in shared
# memory at a time.
_ROWS, _WARPS, _AT_ONCE, _STAGES = 64, 4, 32, 3


def gated_feed_forward_triton(
    x: Tensor, attended: Tensor, parameters: FeedForward, eps: float, dtype: torch.dtype, into: Tensor | None
) -> Tensor:
    """Computes `gated_feed_forward`, arguments and result as described there; sums are float32."""
    output = into if into is not None and into.is_contiguous() else empty_output(x, dtype)
    if x.numel():
        c, k, n = x.shape[-1], attended.shape[-1], len(parameters.gate)
        cast = FeedForward(*((t.to(dtype) if t.ndim == 2 else t).contiguous() for t in parameters))
        first = max(16, triton.next_power_of_2(c) // 2)
        gated_feed_forward_fwd_kernel[triton.cdiv(x.numel() // c, _ROWS),](
            x.contiguous(), attended.contiguous(), p_output=output, count=x.numel() // c, eps=eps, **pointers(cast),
            C=c, K=k, N=n, FIRST=first, SECOND=max(16, triton.next_power_of_2(c - first)),
            ROWS=_ROWS, AT_ONCE=_AT_ONCE, STAGES=_STAGES,
            # Triton's interpreter knows no product of bfloat16
            FACTOR=(tl.bfloat16 if dtype == torch.bfloat16 else tl.float16) if x.is_cuda else tl.float32,
            num_warps=_WARPS,
        )  # fmt: skip
    return output if into is None or output is into else into.copy_(output)


@triton.jit
def gated_feed_forward_fwd_kernel(
    p_x, p_attended, p_proj, p_proj_bias, p_norm, p_norm_bias, p_gate, p_gate_bias, p_value, p_value_bias,
    p_out, p_out_bias, p_output, count, eps, C: tl.constexpr, K: tl.constexpr, N: tl.constexpr,
    FIRST: tl.constexpr, SECOND: tl.constexpr, ROWS: tl.constexpr, AT_ONCE: tl.constexpr, STAGES: tl.constexpr,
    FACTOR: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of rows,); x, output (count, c), attended (count, k), parameters as in `FeedForward`.

    Tiles have sides that are powers of two, so channels are in two parts, of 192 the first 128 and the last 64.
    """
    i_row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    m_row, o_row = (i_row < count)[:, None], i_row.to(tl.int64)[:, None]
    i_c_0, i_c_1, i_some = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND), tl.arange(0, AT_ONCE)
    m_0, m_1 = below(i_c_0, C, FIRST + SECOND), below(i_c_1, C, FIRST + SECOND)
    b_sum_0 = tl.load(p_x + o_row * C + i_c_0[None, :], m_row & m_0[None, :], 0.0).to(tl.float32)
    b_sum_1 = tl.load(p_x + o_row * C + i_c_1[None, :], m_row & m_1[None, :], 0.0).to(tl.float32)
    b_sum_0 += tl.load(p_proj_bias + i_c_0, m_0, 0.0).to(tl.float32)[None, :]
    b_sum_1 += tl.load(p_proj_bias + i_c_1, m_1, 0.0).to(tl.float32)[None, :]
    for i in tl.range(0, K, AT_ONCE, num_stages=STAGES):
        i_k, m_k = i + i_some, below(i + i_some, K, AT_ONCE)
        b_attended = tl.load(p_attended + o_row * K + i_k[None, :], m_row & m_k[None, :], 0.0).to(FACTOR)
        b_sum_0 = tl.dot(b_attended, _transposed(p_proj, i_k, m_k, K, i_c_0, m_0).to(FACTOR), b_sum_0)
        b_sum_1 = tl.dot(b_attended, _transposed(p_proj, i_k, m_k, K, i_c_1, m_1).to(FACTOR), b_sum_1)
    b_mean = (tl.sum(b_sum_0, 1) + tl.sum(b_sum_1, 1)) / C
    b_centred_0 = tl.where(m_0[None, :], b_sum_0 - b_mean[:, None], 0.0)
    b_centred_1 = tl.where(m_1[None, :], b_sum_1 - b_mean[:, None], 0.0)
    b_variance = (tl.sum(b_centred_0 * b_centred_0, 1) + tl.sum(b_centred_1 * b_centred_1, 1)) / C
    b_scale = tl.rsqrt(b_variance + eps)[:, None]
    b_normed_0 = _affine(b_centred_0 * b_scale, p_norm, p_norm_bias, i_c_0, m_0).to(FACTOR)
    b_normed_1 = _affine(b_centred_1 * b_scale, p_norm, p_norm_bias, i_c_1, m_1).to(FACTOR)
    for i in tl.range(0, N, AT_ONCE, num_stages=STAGES):
        i_n, m_n = i + i_some, below(i + i_some, N, AT_ONCE)
        b_gate = tl.dot(b_normed_0, _transposed(p_gate, i_c_0, m_0, C, i_n, m_n).to(FACTOR))
        b_gate = tl.dot(b_normed_1, _transposed(p_gate, i_c_1, m_1, C, i_n, m_n).to(FACTOR), b_gate)
        b_value = tl.dot(b_normed_0, _transposed(p_value, i_c_0, m_0, C, i_n, m_n).to(FACTOR))
        b_value = tl.dot(b_normed_1, _transposed(p_value, i_c_1, m_1, C, i_n, m_n).to(FACTOR), b_value)
        b_gate += tl.load(p_gate_bias + i_n, m_n, 0.0).to(tl.float32)[None, :]
        b_value += tl.load(p_value_bias + i_n, m_n, 0.0).to(tl.float32)[None, :]
        b_gated = (gelu_pairs(b_gate.to(tl.float16)).to(tl.float32) * b_value).to(FACTOR)
        b_sum_0 = tl.dot(b_gated, _transposed(p_out, i_n, m_n, N, i_c_0, m_0).to(FACTOR), b_sum_0)
        b_sum_1 = tl.dot(b_gated, _transposed(p_out, i_n, m_n, N, i_c_1, m_1).to(FACTOR), b_sum_1)
    b_sum_0 += tl.load(p_out_bias + i_c_0, m_0, 0.0).to(tl.float32)[None, :]
    b_sum_1 += tl.load(p_out_bias + i_c_1, m_1, 0.0).to(tl.float32)[None, :]
    p_row = p_output + o_row * C
    tl.store(p_row + i_c_0[None, :], b_sum_0.to(p_output.dtype.element_ty), m_row & m_0[None, :])
    tl.store(p_row + i_c_1[None, :], b_sum_1.to(p_output.dtype.element_ty), m_row & m_1[None, :])


@triton.jit
def _transposed(p_weight, i_in, m_in, stride, i_out, m_out):
    """Part of a matrix (channels out, channels in), as (in, out)."""
    return tl.load(p_weight + i_out[None, :] * stride + i_in[:, None], m_in[:, None] & m_out[None, :], 0.0)


@triton.jit
def _affine(x, p_weight, p_bias, columns, mask):
    weight = tl.load(p_weight + columns, mask, 0.0).to(tl.float32)
    return x * weight[None, :] + tl.load(p_bias + columns, mask, 0.0).to(tl.float32)[None, :]
