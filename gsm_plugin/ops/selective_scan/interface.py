"""The selective scan with what Mamba puts around it (Gu & Dao, arXiv 2312.00752, algorithm 2)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare
from gsm_plugin.ops.selective_scan.naive import selective_scan_naive
from gsm_plugin.ops.selective_scan.torch_impl import selective_scan_torch

OP = 'selective_scan'

declare(
    OP,
    (
        Backend('torch', selective_scan_torch, anywhere, 'one call per step, states are not kept'),
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

    States and step sizes are float32 at least, whatever the inputs are.

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
    dtype = torch.promote_types(u.dtype, torch.float32)
    inputs = (u.to(dtype), delta.to(dtype), A.to(dtype), B.to(dtype), C.to(dtype))
    u_, delta_, *rest = inputs
    if delta_bias is not None:
        delta_ = delta_ + delta_bias.to(dtype)[:, None]
    if delta_softplus:
        delta_ = F.softplus(delta_)
    y = choose_backend(OP, backend, u.device.type).function(u_, delta_, *rest)
    if D is not None:
        y = y + D.to(dtype)[:, None] * u_
    if z is not None:
        y = y * F.silu(z.to(dtype))
    return y.to(u.dtype)


def _check_shapes(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
    b, d, length = u.shape
    n = A.shape[-1]
    expected = {'delta': (delta, (b, d, length)), 'A': (A, (d, n)), 'B': (B, (b, n, length)), 'C': (C, (b, n, length))}
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f'{name} has the shape {tuple(tensor.shape)}; u {tuple(u.shape)} needs {shape}.')
