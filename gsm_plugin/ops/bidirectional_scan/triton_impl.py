"""The bidirectional scan in Triton: launches of the kernels, and what autograd needs."""

import torch
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops.bidirectional_scan import triton_backward, triton_convolution, triton_forward
from gsm_plugin.ops.bidirectional_scan import triton_plan as plan
from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters


def bidirectional_scan_triton(
    x: Tensor, z: Tensor, parameters: ScanParameters, kept: torch.dtype | None = None
) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there; sums and states are float32."""
    kept = x.dtype if kept is None else kept
    return _BidirectionalScan.apply(_rows(x), _rows(z), kept, torch.is_grad_enabled(), *parameters)


class _BidirectionalScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, z: Tensor, kept: torch.dtype, with_gradient: bool, *tensors: Tensor) -> Tensor:
        parameters = ScanParameters(*tensors)
        sizes, prepared = plan.sizes_of(x, parameters), plan.prepare(parameters, x, kept)
        _, u, delta, _, steps = _inputs(x, prepared, sizes, kept, False)
        entry = _entry_states(u, delta, steps, prepared, sizes)
        # y may take the place of the first direction's u, each tile after it was read, but would keep the second's
        in_place = sizes.b == 1 and u.dtype == x.dtype and not with_gradient
        y = u[0, :, : sizes.length] if in_place else torch.empty(x.shape, dtype=x.dtype, device=x.device)
        _scan(u, delta, z, z, steps, entry, entry, y, prepared, sizes, False)
        ctx.sizes, ctx.kept, ctx.dtypes = sizes, kept, [parameter.dtype for parameter in parameters]
        ctx.save_for_backward(x, z, entry, *prepared)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x, z, entry, *tensors = ctx.saved_tensors
        prepared, sizes, dy = ScanParameters(*tensors), ctx.sizes, _rows(dy)
        c, u, delta, small, steps = _inputs(x, prepared, sizes, ctx.kept, True)
        dz = torch.empty(z.shape, dtype=z.dtype, device=z.device)
        states = torch.empty(
            (2, sizes.b, sizes.chunks, sizes.blocks, sizes.n, sizes.d), dtype=plan.gradient_dtype(u), device=x.device
        )
        _scan(u, delta, z, dy, steps, entry, states, dz, prepared, sizes, True)
        adjoint = _adjoints(delta, z, dy, steps, prepared, sizes)
        du, ddelta, dsmall, dA, d_dt_bias, dD = _scan_bwd(u, delta, z, dy, small, states, adjoint, prepared, sizes)
        _add_dt(dsmall, ddelta, prepared.dt_proj, sizes)
        dx_proj, d_dt_proj = _inputs_bwd(c, small, dsmall, ddelta, du, prepared, sizes)
        dx, d_weight, d_bias = _convolve_bwd(x, du, prepared.conv_weight, sizes)
        gradients = ScanParameters(
            conv_weight=d_weight, conv_bias=d_bias, x_proj=dx_proj, dt_proj=d_dt_proj.transpose(1, 2),
            dt_bias=d_dt_bias, A=dA.transpose(1, 2), D=dD,
        )  # fmt: skip
        return dx, dz, None, None, *(gradient.to(dtype) for gradient, dtype in zip(gradients, ctx.dtypes, strict=True))


def _inputs(
    x: Tensor, prepared: ScanParameters, sizes: plan.Sizes, kept: torch.dtype, for_gradient: bool
) -> tuple[Tensor, ...]:
    """Inputs of all steps: c, u and delta, (2, b, padded, d), dt, B and C, (2, b, rank + 2n, padded), B and C by steps.

    The last is (2, b, padded, row length). c and dt, B and C together are filled for a gradient alone.
    """
    u = torch.empty(2, sizes.b, sizes.padded, sizes.d, dtype=kept, device=x.device)
    c = torch.empty_like(u) if for_gradient else u
    config, groups, group, channel_blocks = plan.convolve_config(sizes)
    triton_convolution.convolve_fwd_kernel[groups, channel_blocks, sizes.b](
        x, prepared.conv_weight, prepared.conv_bias, c, u, sizes.length, sizes.padded, group, x.stride(0), x.stride(1),
        FOR_GRADIENT=for_gradient, STAGES=plan.CONVOLVE_STAGES, WINDOW=plan.power_of_two(max(1, 2 * sizes.width - 2)),
        **config,
    )  # fmt: skip
    steps = plan.float32(x, 2, sizes.b, sizes.padded, sizes.row_length)
    small = plan.float32(x, 2, sizes.b, sizes.rows, sizes.padded) if for_gradient else steps
    # 11 bits of delta in mixed precision; bfloat16 would keep 8
    delta = torch.empty_like(u, dtype=torch.float32 if kept == torch.float32 else torch.float16)
    triton_forward.project_fwd_kernel[plan.ceil(sizes.padded, plan.TILE), 2, sizes.b](
        u, prepared.x_proj, prepared.dt_proj, prepared.dt_bias, steps, small, delta,
        sizes.length, sizes.padded, sizes.d, sizes.rank, sizes.rows, sizes.row_length,
        FOR_GRADIENT=for_gradient, STEPS=plan.TILE, CHANNELS=plan.TILE,
        ROWS=plan.matrix_side(sizes.rows), num_warps=4, maxnreg=255 if kept == torch.float32 else 128,
    )  # fmt: skip
    return c, u, delta, small, steps


def _entry_states(u: Tensor, delta: Tensor, steps: Tensor, prepared: ScanParameters, sizes: plan.Sizes) -> Tensor:
    """State that enters each chunk, (2, b, chunks, n, d)."""
    end, total = (plan.float32(u, 2, sizes.b, sizes.chunks, *rest, sizes.d) for rest in ((sizes.n,), ()))
    if sizes.chunks > 1:
        triton_forward.chunk_end_fwd_kernel[sizes.chunks - 1, plan.ceil(sizes.d, plan.CHANNELS), 2 * sizes.b](
            u, delta, steps, prepared.A, end, total, sizes.length, sizes.padded, sizes.row_length, sizes.chunks,
            sizes.tiles, **plan.scan_config(sizes),
        )  # fmt: skip
    return _chain(end, total, prepared.A, sizes, False)


def _adjoints(
    delta: Tensor, z: Tensor, dy: Tensor, steps: Tensor, prepared: ScanParameters, sizes: plan.Sizes
) -> Tensor:
    """Adjoint of the state that leaves each chunk, (2, b, chunks, n, d)."""
    start, total = (plan.float32(z, 2, sizes.b, sizes.chunks, *rest, sizes.d) for rest in ((sizes.n,), ()))
    if sizes.chunks > 1:
        triton_backward.chunk_start_bwd_kernel[sizes.chunks - 1, plan.ceil(sizes.d, plan.CHANNELS), 2 * sizes.b](
            dy, z, delta, steps, prepared.A, start, total, sizes.length, sizes.padded, sizes.row_length, sizes.chunks,
            sizes.tiles, dy.stride(0), dy.stride(1), z.stride(0), z.stride(1), **plan.scan_config(sizes),
        )  # fmt: skip
    return _chain(start, total, prepared.A, sizes, True)


def _chain(end: Tensor, total: Tensor, A: Tensor, sizes: plan.Sizes, backwards: bool) -> Tensor:
    entry, (steps, channels) = torch.empty_like(end), plan.CHAIN_TILE
    triton_forward.chain_kernel[plan.ceil(sizes.d, channels), sizes.n, 2 * sizes.b](
        end, total, A, entry, sizes.chunks, d=sizes.d, n=sizes.n,
        BACKWARDS=backwards, STEPS=steps, CHANNELS=channels, num_warps=1,
    )  # fmt: skip
    return entry


def _scan(
    u: Tensor, delta: Tensor, z: Tensor, dy: Tensor, steps: Tensor, entry: Tensor, states: Tensor, y: Tensor,
    prepared: ScanParameters, sizes: plan.Sizes, for_gradient: bool,
) -> None:  # fmt: skip
    """Fills y with the result, or with z's gradient, and then states with those that enter each block."""
    triton_forward.scan_fwd_kernel[sizes.chunks, plan.ceil(sizes.d, plan.CHANNELS), sizes.b](
        u, delta, z, dy, steps, prepared.A, prepared.D, entry, states, y, sizes.length, sizes.padded, sizes.row_length,
        sizes.blocks, z.stride(0), z.stride(1), dy.stride(0), dy.stride(1),
        FOR_GRADIENT=for_gradient, WHOLE=sizes.length % plan.STEPS == 0, BLOCK=plan.BLOCK, STAGES=plan.STAGES,
        **plan.scan_config(sizes),
    )  # fmt: skip


def _scan_bwd(
    u: Tensor, delta: Tensor, z: Tensor, dy: Tensor, small: Tensor, states: Tensor, adjoint: Tensor,
    prepared: ScanParameters, sizes: plan.Sizes,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of u, of delta before its softplus, of B and C (below free rows), A, delta's bias, and D."""
    du = torch.empty_like(u, dtype=plan.gradient_dtype(u))
    ddelta, channel_blocks = torch.empty_like(du), plan.ceil(sizes.d, plan.CHANNELS)
    partial = plan.float32(u, channel_blocks, 2, sizes.b, 2 * sizes.n, sizes.padded)
    sums = plan.float32(u, 2, sizes.b * sizes.chunks, sizes.n + 2, sizes.d)
    triton_backward.scan_bwd_kernel[sizes.chunks, channel_blocks, 2 * sizes.b](
        u, delta, z, dy, small, prepared.A, prepared.D, states, adjoint, du, ddelta, partial, sums,
        sizes.length, sizes.padded, sizes.rank, sizes.blocks, z.stride(0), z.stride(1), dy.stride(0), dy.stride(1),
        d=sizes.d, n=sizes.n, STEPS=plan.BLOCK, CHANNELS=plan.CHANNELS, ROWS=16,
        ADDEND=tl.bfloat16 if u.is_cuda else tl.float32, PRECISE=u.dtype == torch.float32,
        num_warps=1, num_stages=1, maxnreg=255,
    )  # fmt: skip
    dsmall = torch.empty_like(small)
    torch.sum(partial, 0, out=dsmall[:, :, sizes.rank :])
    dA, d_dt_bias, dD = sums.sum(1).split([sizes.n, 1, 1], 1)
    return du, ddelta, dsmall, dA, d_dt_bias[:, 0], dD[:, 0]


def _add_dt(dsmall: Tensor, ddelta: Tensor, dt_proj: Tensor, sizes: plan.Sizes) -> None:
    """Fills the rows of dsmall that were left free."""
    with torch.autocast(ddelta.device.type, enabled=False):
        dsmall[:, :, : sizes.rank] = dt_proj[:, None].to(ddelta.dtype) @ ddelta.transpose(2, 3)


def _inputs_bwd(
    c: Tensor, small: Tensor, dsmall: Tensor, ddelta: Tensor, du: Tensor, prepared: ScanParameters, sizes: plan.Sizes
) -> tuple[Tensor, Tensor]:
    """Gradients of x_proj and dt_proj, channels last; du becomes the gradient of the convolutions' results."""
    groups, group, channel_blocks = plan.groups(sizes, plan.TILE, plan.TILE, 4)
    sums = plan.float32(c, 2, sizes.b * groups, sizes.rows + sizes.rank, sizes.d)
    triton_backward.inputs_bwd_kernel[groups, channel_blocks, 2 * sizes.b](
        c, prepared.x_proj, small, dsmall, ddelta, du, sums, sizes.padded, sizes.d, sizes.rank, sizes.rows, group,
        STEPS=plan.TILE, CHANNELS=plan.TILE, ROWS=plan.matrix_side(sizes.rows), RANKS=plan.matrix_side(sizes.rank),
        FACTOR=plan.gradient_factor(c), num_warps=4, num_stages=plan.stages(c), maxnreg=255,
    )  # fmt: skip
    return sums.sum(1).split([sizes.rows, sizes.rank], 1)


def _convolve_bwd(x: Tensor, dc: Tensor, weight: Tensor, sizes: plan.Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, the convolutions' weights and their biases."""
    config, groups, group, channel_blocks = plan.convolve_config(sizes)
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    sums = plan.float32(x, sizes.b * groups, 2, sizes.width + 1, sizes.d)
    triton_convolution.convolve_bwd_kernel[groups, channel_blocks, sizes.b](
        x, dc, weight, dx, sums, sizes.length, sizes.padded, group, x.stride(0), x.stride(1),
        TAPS=plan.power_of_two(sizes.width), **config,
    )  # fmt: skip
    sums = sums.sum(0)
    return dx, sums[:, :-1].transpose(1, 2), sums[:, -1]


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(2) == 1 else x.contiguous()
