"""The bidirectional scan in Triton: launches of the kernels, and what autograd needs."""

import functools
from typing import NamedTuple

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops.bidirectional_scan import triton_backward, triton_convolution, triton_forward

_LOG2E = 1.4426950408889634
# Channels of a program of the kernels that scan, which is one warp. A thread has two of them, since all threads read
# the same B and C: with one, that alone would take the time of the exponentials.
_CHANNELS = 64
# Steps that such a program reads at once, and steps of a block, at whose start the backward pass keeps the state.
_STEPS = 4
_BLOCK = 8
# Chunks are so long that about so many warps run on a multiprocessor, and not shorter than so many blocks.
_WARPS_PER_MULTIPROCESSOR = 12
_LEAST_BLOCKS = 8
_REGISTERS = 168
# Of every so manieth state, mixed precision computes the decay without the units for exponentials.
_POLYNOMIALS = 8
_BWD_CHANNELS = 64
_BWD_REGISTERS = 255
# Chunks and channels of a program of the kernel that chains the chunks.
_CHAIN_TILE = 16, 32
# Steps and channels of a program of the kernels that multiply matrices.
_TILE = 64
_INPUTS = {'num_warps': 4}
_INPUTS_BWD = {'num_warps': 4}
# Tokens that a program of the kernel that transposes the convolutions reads at once, or the convolutions' width.
_TOKENS = 8


class _Sizes(NamedTuple):
    """Sizes of a call; a chunk of the sequence has `blocks` blocks of `_BLOCK` steps."""

    b: int
    length: int
    d: int
    width: int
    rank: int
    n: int
    blocks: int
    chunks: int

    @property
    def padded(self) -> int:
        return self.chunks * self.blocks * _BLOCK

    @property
    def rows(self) -> int:
        return self.rank + 2 * self.n

    @property
    def row_length(self) -> int:
        """Of B, C and dt of a step: so many numbers that four of them can be read at once."""
        return _ceil(self.rows, 16) * 16


class _Prepared(NamedTuple):
    """Parameters: dt_proj and A with channels last, A for powers of two."""

    conv_weight: Tensor
    conv_bias: Tensor
    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    A: Tensor
    D: Tensor


def bidirectional_scan_triton(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there; sums and states are float32."""
    return _BidirectionalScan.apply(_rows(x), _rows(z), *parameters)


class _BidirectionalScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, z: Tensor, *parameters: Tensor) -> Tensor:
        sizes, prepared = _sizes(x, parameters), _prepare(parameters, x)
        _, u, delta, _, steps = _inputs(x, prepared, sizes, False)
        entry = _entry_states(u, delta, steps, prepared, sizes)
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        _scan(u, delta, z, z, steps, entry, entry, y, prepared, sizes, False)
        ctx.sizes, ctx.dtypes = sizes, [parameter.dtype for parameter in parameters]
        ctx.save_for_backward(x, z, entry, *prepared)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, z, entry, *prepared = ctx.saved_tensors
        prepared, sizes, dy = _Prepared(*prepared), ctx.sizes, _rows(dy)
        c, u, delta, small, steps = _inputs(x, prepared, sizes, True)
        dz = torch.empty(z.shape, dtype=z.dtype, device=z.device)
        states = torch.empty(
            (2, sizes.b, sizes.chunks, sizes.blocks, sizes.n, sizes.d), dtype=_gradient_dtype(x), device=x.device
        )
        _scan(u, delta, z, dy, steps, entry, states, dz, prepared, sizes, True)
        adjoint = _adjoints(delta, z, dy, steps, prepared, sizes)
        du, ddelta, dsmall, dA, d_dt_bias, dD = _scan_bwd(u, delta, z, dy, small, states, adjoint, prepared, sizes)
        _add_dt(dsmall, ddelta, prepared.dt_proj, sizes)
        dx_proj, d_dt_proj = _inputs_bwd(c, small, dsmall, ddelta, du, prepared, sizes)
        dx, d_weight, d_bias = _convolve_bwd(x, du, prepared.conv_weight, sizes)
        gradients = (d_weight, d_bias, dx_proj, d_dt_proj.transpose(1, 2), d_dt_bias, dA.transpose(1, 2), dD)
        return dx, dz, *(gradient.to(dtype) for gradient, dtype in zip(gradients, ctx.dtypes, strict=True))


def _sizes(x: Tensor, parameters: tuple[Tensor, ...]) -> _Sizes:
    b, length, d = x.shape
    width, rank, n = parameters[0].shape[2], parameters[3].shape[2], parameters[5].shape[2]
    warps = _WARPS_PER_MULTIPROCESSOR * (_multiprocessors(x.device) if x.is_cuda else 1)
    blocks = max(_LEAST_BLOCKS, _ceil(length * b * _ceil(d, _CHANNELS), _BLOCK * warps))
    blocks += blocks % 2  # so that rows of numbers of all steps are aligned
    return _Sizes(b, length, d, width, rank, n, blocks, _ceil(length, blocks * _BLOCK))


@functools.cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count


def _prepare(parameters: tuple[Tensor, ...], x: Tensor) -> _Prepared:
    conv_weight, conv_bias, x_proj, dt_proj, dt_bias, A, D = parameters
    factor = torch.bfloat16 if _factor(x) == tl.bfloat16 else torch.float32
    dt_proj = dt_proj.new_empty(2, *dt_proj.shape[:0:-1], dtype=factor).copy_(dt_proj.transpose(1, 2))
    A = torch.mul(A.float().transpose(1, 2), _LOG2E, out=A.new_empty(2, *A.shape[:0:-1], dtype=torch.float32))
    x_proj = x_proj.to(factor)
    conv_weight, conv_bias, x_proj, dt_bias, D = (t.contiguous() for t in (conv_weight, conv_bias, x_proj, dt_bias, D))
    return _Prepared(conv_weight, conv_bias, x_proj, dt_proj, dt_bias, A, D)


def _inputs(x: Tensor, prepared: _Prepared, sizes: _Sizes, for_gradient: bool) -> tuple[Tensor, ...]:
    """Inputs of every step: c, u and delta, (2, b, padded, d), dt, B and C, (2, b, rank + 2n, padded) and by steps.

    The latter, B, C and dt, is (2, b, padded, row length). c and the former are filled for a gradient alone.
    """
    u = torch.empty(2, sizes.b, sizes.padded, sizes.d, dtype=x.dtype, device=x.device)
    c = torch.empty_like(u) if for_gradient else u
    config, groups, group, channel_blocks = _convolve_config(sizes)
    triton_convolution.convolve_fwd_kernel[groups, channel_blocks, sizes.b](
        x, prepared.conv_weight, prepared.conv_bias, c, u, sizes.length, sizes.padded, group, x.stride(0), x.stride(1),
        FOR_GRADIENT=for_gradient, WINDOW=_power_of_two(max(1, 2 * sizes.width - 2)), **config,
    )  # fmt: skip
    steps = _float32(x, 2, sizes.b, sizes.padded, sizes.row_length)
    small = _float32(x, 2, sizes.b, sizes.rows, sizes.padded) if for_gradient else steps
    # 11 bits of delta in mixed precision; bfloat16 would keep 8
    delta = torch.empty_like(u, dtype=torch.float32 if x.dtype == torch.float32 else torch.float16)
    triton_forward.project_fwd_kernel[_ceil(sizes.padded, _TILE), 2, sizes.b](
        u, prepared.x_proj, prepared.dt_proj, prepared.dt_bias, steps, small, delta,
        sizes.length, sizes.padded, sizes.d, sizes.rank, sizes.rows, sizes.row_length,
        FOR_GRADIENT=for_gradient, STEPS=_TILE, CHANNELS=_TILE,
        ROWS=_matrix_side(sizes.rows), FACTOR=_factor(x), **_INPUTS,
    )  # fmt: skip
    return c, u, delta, small, steps


def _entry_states(u: Tensor, delta: Tensor, steps: Tensor, prepared: _Prepared, sizes: _Sizes) -> Tensor:
    """State that enters each chunk, (2, b, chunks, n, d)."""
    end, total = (_float32(u, 2, sizes.b, sizes.chunks, *rest, sizes.d) for rest in ((sizes.n,), ()))
    triton_forward.chunk_end_fwd_kernel[sizes.chunks, _ceil(sizes.d, _CHANNELS), 2 * sizes.b](
        u, delta, steps, prepared.A, end, total, sizes.padded, sizes.row_length, sizes.blocks * _BLOCK // _STEPS,
        **_scan_config(sizes, u),
    )  # fmt: skip
    return _chain(end, total, prepared.A, sizes, False)


def _adjoints(delta: Tensor, z: Tensor, dy: Tensor, steps: Tensor, prepared: _Prepared, sizes: _Sizes) -> Tensor:
    """Adjoint of the state that leaves each chunk, (2, b, chunks, n, d)."""
    start, total = (_float32(z, 2, sizes.b, sizes.chunks, *rest, sizes.d) for rest in ((sizes.n,), ()))
    triton_backward.chunk_start_bwd_kernel[sizes.chunks, _ceil(sizes.d, _CHANNELS), 2 * sizes.b](
        dy, z, delta, steps, prepared.A, start, total, sizes.length, sizes.padded, sizes.row_length,
        sizes.blocks * _BLOCK // _STEPS, dy.stride(0), dy.stride(1), z.stride(0), z.stride(1), **_scan_config(sizes, z),
    )  # fmt: skip
    return _chain(start, total, prepared.A, sizes, True)


def _chain(end: Tensor, total: Tensor, A: Tensor, sizes: _Sizes, backwards: bool) -> Tensor:
    entry, (steps, channels) = torch.empty_like(end), _CHAIN_TILE
    triton_forward.chain_kernel[_ceil(sizes.d, channels), sizes.n, 2 * sizes.b](
        end, total, A, entry, sizes.chunks, d=sizes.d, n=sizes.n,
        BACKWARDS=backwards, STEPS=steps, CHANNELS=channels, num_warps=1,
    )  # fmt: skip
    return entry


def _scan(
    u: Tensor, delta: Tensor, z: Tensor, dy: Tensor, steps: Tensor, entry: Tensor, states: Tensor, y: Tensor,
    prepared: _Prepared, sizes: _Sizes, for_gradient: bool,
) -> None:  # fmt: skip
    """Fills y with the result, or with z's gradient, and then states with those that enter each block."""
    triton_forward.scan_fwd_kernel[sizes.chunks, _ceil(sizes.d, _CHANNELS), sizes.b](
        u, delta, z, dy, steps, prepared.A, prepared.D, entry, states, y, sizes.length, sizes.padded, sizes.row_length,
        sizes.blocks, z.stride(0), z.stride(1), dy.stride(0), dy.stride(1),
        FOR_GRADIENT=for_gradient, BLOCK=_BLOCK, **_scan_config(sizes, z),
    )  # fmt: skip


def _scan_bwd(
    u: Tensor, delta: Tensor, z: Tensor, dy: Tensor, small: Tensor, states: Tensor, adjoint: Tensor,
    prepared: _Prepared, sizes: _Sizes,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of u, of delta before its softplus, of B and C (below free rows), A, delta's bias, and D."""
    du = torch.empty_like(u, dtype=_gradient_dtype(u))
    ddelta, channel_blocks = torch.empty_like(du), _ceil(sizes.d, _BWD_CHANNELS)
    partial = _float32(u, channel_blocks, 2, sizes.b, 2 * sizes.n, sizes.padded)
    sums = _float32(u, 2, sizes.b * sizes.chunks, sizes.n + 2, sizes.d)
    triton_backward.scan_bwd_kernel[sizes.chunks, channel_blocks, 2 * sizes.b](
        u, delta, z, dy, small, prepared.A, prepared.D, states, adjoint, du, ddelta, partial, sums,
        sizes.length, sizes.padded, sizes.rank, sizes.blocks, z.stride(0), z.stride(1), dy.stride(0), dy.stride(1),
        d=sizes.d, n=sizes.n, STEPS=_BLOCK, CHANNELS=_BWD_CHANNELS, ROWS=16, HALVES=_BWD_CHANNELS != 32,
        ADDEND=tl.bfloat16 if u.is_cuda else tl.float32, PRECISE=u.dtype == torch.float32,
        num_warps=1, num_stages=1, maxnreg=_BWD_REGISTERS,
    )  # fmt: skip
    dsmall = torch.empty_like(small)
    torch.sum(partial, 0, out=dsmall[:, :, sizes.rank :])
    dA, d_dt_bias, dD = sums.sum(1).split([sizes.n, 1, 1], 1)
    return du, ddelta, dsmall, dA, d_dt_bias[:, 0], dD[:, 0]


def _add_dt(dsmall: Tensor, ddelta: Tensor, dt_proj: Tensor, sizes: _Sizes) -> None:
    """Fills the rows of dsmall that were left free."""
    with torch.autocast(ddelta.device.type, enabled=False):
        dsmall[:, :, : sizes.rank] = dt_proj[:, None].to(ddelta.dtype) @ ddelta.transpose(2, 3)


def _inputs_bwd(
    c: Tensor, small: Tensor, dsmall: Tensor, ddelta: Tensor, du: Tensor, prepared: _Prepared, sizes: _Sizes
) -> tuple[Tensor, Tensor]:
    """Gradients of x_proj and dt_proj, channels last; du becomes the gradient of the convolutions' results."""
    groups, group, channel_blocks = _groups(sizes, _TILE, _TILE, 4)
    sums = _float32(c, 2, sizes.b * groups, sizes.rows + sizes.rank, sizes.d)
    triton_backward.inputs_bwd_kernel[groups, channel_blocks, 2 * sizes.b](
        c, prepared.x_proj, small, dsmall, ddelta, du, sums, sizes.padded, sizes.d, sizes.rank, sizes.rows, group,
        STEPS=_TILE, CHANNELS=_TILE, ROWS=_matrix_side(sizes.rows), RANKS=_matrix_side(sizes.rank),
        FACTOR=_factor(c), **_INPUTS_BWD,
    )  # fmt: skip
    return sums.sum(1).split([sizes.rows, sizes.rank], 1)


def _convolve_bwd(x: Tensor, dc: Tensor, weight: Tensor, sizes: _Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, the convolutions' weights and their biases."""
    config, groups, group, channel_blocks = _convolve_config(sizes)
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    sums = _float32(x, sizes.b * groups, 2, sizes.width + 1, sizes.d)
    triton_convolution.convolve_bwd_kernel[groups, channel_blocks, sizes.b](
        x, dc, weight, dx, sums, sizes.length, sizes.padded, group, x.stride(0), x.stride(1), **config
    )
    sums = sums.sum(0)
    return dx, sums[:, :-1].transpose(1, 2), sums[:, -1]


def _convolve_config(sizes: _Sizes) -> tuple[dict[str, int], int, int, int]:
    """Constants of the kernels that convolve, and their groups as in `_groups`."""
    taps = _power_of_two(sizes.width)
    tokens, channels = max(taps, _TOKENS), _BWD_CHANNELS
    config = {'d': sizes.d, 'width': sizes.width, 'TAPS': taps, 'STEPS': tokens, 'CHANNELS': channels}
    return {**config, 'num_warps': 1, 'maxnreg': 168}, *_groups(sizes, tokens, channels, 12)


def _groups(sizes: _Sizes, steps: int, channels: int, programs: int) -> tuple[int, int, int]:
    """Groups of blocks of steps, blocks of a group, blocks of channels: about so many programs on 132 processors."""
    blocks, channel_blocks = _ceil(sizes.padded, steps), _ceil(sizes.d, channels)
    group = max(1, blocks * channel_blocks * sizes.b // (132 * programs))
    return _ceil(blocks, group), group, channel_blocks


def _scan_config(sizes: _Sizes, x: Tensor) -> dict[str, int]:
    tile = {'STATES': _power_of_two(sizes.n), 'STEPS': _STEPS, 'CHANNELS': _CHANNELS}
    every = 0 if x.dtype == torch.float32 else _POLYNOMIALS
    return {'d': sizes.d, 'n': sizes.n, 'EVERY': every, **tile, 'num_warps': 1, 'maxnreg': _REGISTERS}


def _factor(x: Tensor) -> tl.dtype:
    """Type in which matrices are multiplied; Triton's interpreter knows no product of bfloat16."""
    return tl.float32 if x.dtype == torch.float32 or not x.is_cuda else tl.bfloat16


def _gradient_dtype(x: Tensor) -> torch.dtype:
    """Type in which gradients and states per step are kept; float16 would not hold their range."""
    return torch.float32 if x.dtype == torch.float32 else torch.bfloat16


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(2) == 1 else x.contiguous()


def _float32(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _matrix_side(value: int) -> int:
    """The least power of two that a matrix product accepts."""
    return max(16, _power_of_two(value))


def _power_of_two(value: int) -> int:
    """The least that is not smaller."""
    return 1 << (value - 1).bit_length()
