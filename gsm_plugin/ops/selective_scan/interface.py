"""The selective scan with what Mamba puts around it (Gu & Dao, arXiv 2312.00752, algorithm 2)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.half_precision import computing_type, round_to, saturate
from gsm_plugin.ops._common.shapes import check_shapes, check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'selective_scan'

declare(
    OP,
    Backend('torch', 'a call for many steps, states are not kept'),
    Backend('naive', 'the definition'),
)


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    backend: str = 'auto',
) -> Tensor | tuple[Tensor, Tensor]:
    """Computes `h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t`, `y_t = C_t h_t + D u_t`, gated by `silu(z_t)`.

    Arguments up to `return_last_state` are those of mamba-ssm's `selective_scan_fn`. What that takes and this refuses
    are complex numbers, and B or C that are the same at every step, (d, n).

    States and step sizes are float32 at least, whatever the inputs are. Where u is of half precision, u, delta, B, C, z
    and a float16 result are clipped to 65504, so that y is finite for finite parameters, however large the inputs are.

    Args:
        u: Input, (b, d, l).
        delta: Step sizes, (b, d, l).
        A: Continuous-time decay, (d, n), negative.
        B: Input projection of each step, (b, n, l); or (b, g, n, l) for g groups of d / g adjacent channels.
        C: Output projection of each step, of B's shape.
        D: Skip connection, (d).
        z: Gate, (b, d, l).
        delta_bias: Added to delta, (d).
        delta_softplus: Whether delta goes through a softplus after the bias.
        return_last_state: Whether the state after the last step is returned, too. No gradient flows into it.
        backend: auto, torch or naive.

    Returns:
        y, (b, d, l), of u's type; with `return_last_state` (y, state), the state being (b, d, n), float32 or better.

    Raises:
        ValueError: The shapes do not belong together, or a tensor is complex.
        RuntimeError: The named backend cannot run here.
    """
    _check(u, delta, A, B, C, D, z, delta_bias)
    dtype = computing_type(u.dtype)
    u_, delta_, B_, C_ = (saturate(x.to(dtype), u.dtype) for x in (u, delta, B, C))
    if delta_bias is not None:
        delta_ = saturate(delta_ + delta_bias.to(dtype)[:, None], u.dtype)
    if delta_softplus:
        delta_ = F.softplus(delta_)
    y, last_state = _in_groups(u_, delta_, A.to(dtype), B_, C_, backend)
    if D is not None:
        y = y + D.to(dtype)[:, None] * u_
    if z is not None:
        y = y * F.silu(saturate(z.to(dtype), u.dtype))
    y = round_to(y, u.dtype)
    return (y, last_state.detach()) if return_last_state else y


def _in_groups(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    """Scans groups of channels one after the other, where B and C are those of groups."""
    if B.ndim == 3:
        return compute(OP, backend, u, (u, delta, A, B, C))
    count = B.shape[1]
    groups = zip(u.chunk(count, 1), delta.chunk(count, 1), A.chunk(count), B.unbind(1), C.unbind(1), strict=True)
    ys, states = zip(*(compute(OP, backend, u, group) for group in groups), strict=True)
    return torch.cat(ys, 1), torch.cat(states, 1)


def _check(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
) -> None:
    """Complains about what does not belong together."""
    tensors = {'u': u, 'delta': delta, 'A': A, 'B': B, 'C': C, 'D': D, 'z': z, 'delta_bias': delta_bias}
    check_tensors((name, x) for name, x in tensors.items() if x is not None)
    if u.ndim != 3:
        raise ValueError(f'u has the shape {tuple(u.shape)}; give (b, d, l).')
    b, d, length = u.shape
    n, groups = A.shape[-1], B.shape[1:2] if B.ndim == 4 else ()
    steps = b, *groups, n, length
    expected: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ('delta', delta, u.shape), ('A', A, (d, n)), ('B', B, steps), ('C', C, steps),
    ]  # fmt: skip
    expected += [('D', D, (d,)), ('z', z, u.shape), ('delta_bias', delta_bias, (d,))]
    given = [(name, x, shape) for name, x, shape in expected if x is not None]
    check_shapes(f'u {tuple(u.shape)} needs', given)
    if groups and (not groups[0] or d % groups[0]):
        raise ValueError(f'{d} channels in {groups[0]} groups of B and C; give a multiple.')
