"""The bidirectional scan on a CPU: convolution and scan by kernels of Numba, products of matrices by PyTorch.

The work of a kernel is cut into pieces that depend on sizes alone: the result is the same for any number of threads.
"""

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._common import scratch
from gsm_plugin.ops._common.half_precision import round_to, saturate
from gsm_plugin.ops._common.multiplying import of_whole_vectors
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.bidirectional_scan import numba_kernels
from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters

# Of the convolution, in a piece.
_TOKENS = 1024
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def bidirectional_scan_numba(
    x: Tensor, z: Tensor, parameters: ScanParameters, kept: torch.dtype | None = None
) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there; half precision in float32."""
    dtype = x.dtype
    with torch.autocast(x.device.type, enabled=False):
        x_, z_ = (saturate(value.float(), dtype) for value in (x, z))
        p = ScanParameters(*(parameter.float() for parameter in parameters))
        has_gradients = torch.is_grad_enabled()
        if has_gradients or dtype.itemsize == 2:
            u = saturate(_Convolution.apply(x_, p.conv_weight, p.conv_bias), dtype)
            projected = saturate(_by_direction(u, p.x_proj), dtype)
        else:
            u, projected = _convolve_project(x_, p)
        # as `saturate` clips
        limit = np.float32(torch.finfo(torch.float16).max if dtype.itemsize == 2 else np.inf)
        s = _Scan.apply(u, projected, p.dt_proj, p.dt_bias, p.A, p.D, limit, has_gradients)
        return round_to(_Gate.apply(s, z_, has_gradients), dtype)


def _by_direction(x: Tensor, weights: Tensor) -> Tensor:
    """Products of matrices: x (2, b, l, c), weights (2, m, c) -> (2, b, l, m)."""
    return torch.bmm(x.flatten(1, 2), weights.mT).view(*x.shape[:3], -1)


def scan_both_ways(x: Tensor, parameters: ScanParameters) -> Tensor:
    """What both directions give before they are added up and gated, (b, l, d) -> (2, b, l, d), without gradients."""
    u, projected = _convolve_project(x, parameters)
    p = parameters
    return _Scan.apply(u, projected, p.dt_proj, p.dt_bias, p.A, p.D, np.float32(np.inf), False)


def gate_project(x: Tensor, scanned: Tensor, of_gate: Tensor, of_output: Tensor, output: Tensor) -> None:
    """Multiplies what was scanned, gated by a product of tokens.

    Args:
        x: Tokens, (b, l, c).
        scanned: Result of `scan_both_ways`, (2, b, l, d).
        of_gate: The matrix of the gate, (d, c).
        of_output: That of the result, (m, d).
        output: Result, (b, l, m).
    """
    taps = of_whole_vectors(of_gate), of_whole_vectors(of_output)
    of_x, of_s, *matrices, of_y = _arrays(x, scanned, *taps, output)
    calls = (
        partial(kernels.gate_project, of_x[row], of_s[0, row], of_s[1, row], *matrices, start, stop, of_y[row])
        for row, start, stop in _token_pieces(x.shape)
    )
    share(calls, x.shape[0] * x.shape[1] * (of_gate.numel() + of_output.numel()))


def _convolve_project(x: Tensor, p: ScanParameters) -> tuple[Tensor, Tensor]:
    """u (2, b, l, d) and its products with `x_proj` (2, b, l, r + 2 n), without gradients."""
    columns = p.x_proj.shape[1]
    u = scratch.empty('bidirectional_scan.u', (2, *x.shape), x)
    projected = scratch.empty('bidirectional_scan.projected', (*u.shape[:3], columns), x)
    taps = of_whole_vectors(p.x_proj)
    inputs = x.contiguous(), p.conv_weight.mT.contiguous(), p.conv_bias.contiguous(), taps
    of_x, of_weight, of_bias, of_taps, of_u, of_projected = _arrays(*inputs, u, projected)
    calls = (
        partial(
            kernels.convolve_project,
            *(
                of_x[row],
                of_weight[i],
                of_bias[i],
                of_taps[i],
                start,
                stop,
                bool(i),
                of_u[i, row],
                of_projected[i, row],
            ),
        )
        for row, start, stop in _token_pieces(x.shape)
        for i in range(2)
    )
    share(calls, u.numel() * (len(p.conv_weight[0, 0]) + columns))
    return u, projected


class _Convolution(torch.autograd.Function):
    """silu(conv(x)): x (b, l, d), weight (2, d, width), bias (2, d) -> (2, b, l, d)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, taps, bias = x.contiguous(), weight.mT.contiguous(), bias.contiguous()
        ctx.save_for_backward(x, taps, bias)
        u = x.new_empty(2, *x.shape)
        of_x, of_taps, of_bias, of_u = _arrays(x, taps, bias, u)
        calls = (
            partial(kernels.convolve, of_x[row], of_taps[i], of_bias[i], start, stop, bool(i), of_u[i, row])
            for row, start, stop in _token_pieces(x.shape)
            for i in range(2)
        )
        share(calls, u.numel() * taps.shape[1])
        return u

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, taps, bias = ctx.saved_tensors
        pieces = _token_pieces(x.shape)
        grad_u = grad_u.contiguous()
        grad_c, grad_x = torch.empty_like(grad_u), torch.zeros_like(x)
        # a sum over tokens, of which every piece has its part
        grad_taps = taps.new_zeros(len(pieces), *taps.shape)
        multiplications = grad_u.numel() * taps.shape[1]
        x, taps, bias, of_u, of_c, of_x, of_taps = _arrays(x, taps, bias, grad_u, grad_c, grad_x, grad_taps)

        def add(number: int, row: int, start: int, stop: int) -> None:
            for i in range(2):
                tokens = start, stop, bool(i)
                kernels.convolve_bwd(x[row], taps[i], of_c[i, row], *tokens, of_x[row], of_taps[number, i])

        calls = (
            partial(
                kernels.convolve_bwd_silu, x[row], taps[i], bias[i], of_u[i, row], start, stop, bool(i), of_c[i, row]
            )
            for row, start, stop in pieces
            for i in range(2)
        )
        share(calls, multiplications)
        share((partial(add, number, *piece) for number, piece in enumerate(pieces)), 2 * multiplications)
        return grad_x, grad_taps.sum(0).mT, grad_c.sum((1, 2))


class _Scan(torch.autograd.Function):
    """u (2, b, l, d), projected (2, b, l, r + 2 n), others as in `ScanParameters` -> (2, b, l, d)."""

    @staticmethod
    def forward(ctx, u, projected, dt_proj, dt_bias, A, D, limit: np.float32, has_gradients: bool) -> Tensor:
        inputs = [tensor.contiguous() for tensor in (u, projected, dt_proj, dt_bias, A, D)]
        blocks = -(-u.shape[2] // kernels.STEPS) if has_gradients else 0
        # nobody else has u, whose memory is warm
        s = torch.empty_like(inputs[0]) if has_gradients else inputs[0]
        entries = u.new_empty(*u.shape[:2], blocks, A.shape[2], u.shape[3])
        if has_gradients:
            ctx.save_for_backward(*inputs, entries)
        ctx.limit = limit
        *inputs, of_s, entries = _arrays(*inputs, s, entries)
        calls = (
            partial(kernels.scan, *_own(inputs, i, row), limit, first, bool(i), of_s[i, row], entries[i, row])
            for i, row, first in _channel_pieces(u.shape)
        )
        # a state decays, gains, and is read
        share(calls, 3 * u.numel() * A.shape[2])
        return s

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_s: Tensor) -> tuple[Tensor | None, ...]:
        # under checkpointing they can be asked for once
        saved = ctx.saved_tensors
        u, projected, dt_proj, _, A, D, _ = saved
        b, rank, pieces = u.shape[1], dt_proj.shape[2], _channel_pieces(u.shape)
        # sums over sequences or over channels, of which every piece has its part
        parts = b, b, -(-u.shape[3] // kernels.CHANNELS)
        totals = A, D, projected[..., rank:]
        sums = [total.new_empty(count, *total.shape) for total, count in zip(totals, parts, strict=True)]
        grad_u, grad_raw = torch.empty_like(u), torch.empty_like(u)
        grad_s = grad_s if grad_s[0].is_contiguous() else grad_s.contiguous()
        *inputs, entries, of_s, of_u, of_raw = _arrays(*saved, grad_s, grad_u, grad_raw)
        of_A, of_D, of_BC = _arrays(*sums)
        calls = (
            partial(
                kernels.scan_bwd,
                *(*_own(inputs, i, row), ctx.limit, entries[i, row], of_s[i, row], first, bool(i)),
                *(of_u[i, row], of_raw[i, row], of_A[row, i], of_D[row, i], of_BC[first // kernels.CHANNELS, i, row]),
            )
            for i, row, first in pieces
        )
        # the states again, and their gradients
        share(calls, 6 * u.numel() * A.shape[2])
        grad_A, grad_D, grad_BC = (part.sum(0) for part in sums)
        of_steps = grad_raw.flatten(1, 2)
        grad_projected = torch.cat((torch.bmm(of_steps, dt_proj).view(*u.shape[:3], rank), grad_BC), -1)
        grad_dt_proj = torch.bmm(of_steps.mT, projected[..., :rank].flatten(1, 2))
        return grad_u, grad_projected, grad_dt_proj, of_steps.sum(1), grad_A, grad_D, None, None


class _Gate(torch.autograd.Function):
    """(s[0] + s[1]) silu(z): s (2, b, l, d), z (b, l, d) -> (b, l, d)."""

    @staticmethod
    def forward(ctx, s: Tensor, z: Tensor, has_gradients: bool) -> Tensor:
        z = z.contiguous()
        ctx.save_for_backward(s, z)
        y = torch.empty_like(z) if has_gradients else s[0]
        of_s, of_z, of_y = _arrays(s, z, y)
        calls = (
            partial(kernels.gate, of_s[0, row], of_s[1, row], of_z[row], start, stop, of_y[row])
            for row, start, stop in _token_pieces(z.shape)
        )
        share(calls, y.numel())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        s, z = ctx.saved_tensors
        grad_s, grad_z = torch.empty_like(z), torch.empty_like(z)
        s, z, of_y, of_s, of_z = _arrays(s, z, grad_y.contiguous(), grad_s, grad_z)
        calls = (
            partial(kernels.gate_bwd, s[0, row], s[1, row], z[row], of_y[row], start, stop, of_s[row], of_z[row])
            for row, start, stop in _token_pieces(z.shape)
        )
        share(calls, grad_z.numel())
        return grad_s.expand(s.shape), grad_z, None


def _own(inputs: list[np.ndarray], direction: int, row: int) -> list[np.ndarray]:
    """Of what `_Scan` gets, what belongs to a direction and, where there is one for each sequence, to a sequence."""
    return [array[direction, row] if array.ndim == 4 else array[direction] for array in inputs]


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


def _token_pieces(shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Sequence, first token and the one behind the last of every piece of (b, l, d)."""
    b, length, _ = shape
    return [(row, start, min(start + _TOKENS, length)) for row in range(b) for start in range(0, length, _TOKENS)]


def _channel_pieces(shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Direction, sequence and first channel of every piece of (2, b, l, d)."""
    return list(product(range(shape[0]), range(shape[1]), range(0, shape[3], kernels.CHANNELS)))
