"""The selective scan with what Mamba puts around it (Gu & Dao, arXiv 2312.00752, algorithm 2)."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.half_precision import computing_type, round_to, saturate
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare
from gsm_plugin.ops.selective_scan.naive import selective_scan_naive
from gsm_plugin.ops.selective_scan.torch_impl import selective_scan_torch

OP = 'selective_scan'

declare(
    OP,
    (
        Backend('torch', selective_scan_torch, anywhere, 'a call for many steps, states are not kept'),
        Backend('naive', selective_scan_naive, anywhere, 'the definition'),
    ),
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
    backend: str = 'auto',
) -> Tensor:
    """Computes `h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t`, `y_t = C_t h_t + D u_t`, gated by `silu(z_t)`.

    States and step sizes are float32 at least, whatever the inputs are. Where u is of half precision, u, delta, B, C, z
    and a float16 result are clipped to 65504, so that y is finite for finite parameters, however large the inputs are.

    Args:
        u: Input, (b, d, l).
        delta: Step sizes, (b, d, l).
        A: Continuous-time decay, (d, n), negative.
        B: Input projection of each step, (b, n, l).
        C: Output projection of each step, (b, n, l).
        D: Skip connection, (d).
        z: Gate, (b, d, l).
        delta_bias: Added to delta, (d).
        delta_softplus: Whether delta goes through a softplus after the bias.
        backend: auto, torch or naive.

    Returns:
        y, (b, d, l), of u's type.

    Raises:
        ValueError: The shapes do not belong together.
        RuntimeError: The named backend cannot run here.
    """
    _check_shapes(u, delta, A, B, C)
    dtype = computing_type(u.dtype)
    u_, delta_, B_, C_ = (saturate(x.to(dtype), u.dtype) for x in (u, delta, B, C))
    if delta_bias is not None:
        delta_ = saturate(delta_ + delta_bias.to(dtype)[:, None], u.dtype)
    if delta_softplus:
        delta_ = F.softplus(delta_)
    y = choose_backend(OP, backend, u.device.type).function(u_, delta_, A.to(dtype), B_, C_)
    if D is not None:
        y = y + D.to(dtype)[:, None] * u_
    if z is not None:
        y = y * F.silu(saturate(z.to(dtype), u.dtype))
    return round_to(y, u.dtype)


def _check_shapes(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
    b, d, length = u.shape
    n = A.shape[-1]
    steps = (b, n, length)
    expected = ('delta', delta, (b, d, length)), ('A', A, (d, n)), ('B', B, steps), ('C', C, steps)
    check_shapes(f'u {tuple(u.shape)} needs', expected)
