"""The selective scan, one time step after another (Gu & Dao, Mamba, arXiv 2312.00752, equations 2a-2b).

Inputs are made discrete as in mamba-ssm: `delta B` in place of the zero-order hold of equation 4.
"""

import torch
from torch import Tensor


def selective_scan_naive(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Runs `h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t`, `y_t = C_t h_t` step by step.

    This is the reference that every other backend is held to. It is slow and keeps all states for autograd. Skip, gate,
    bias and softplus of `delta` are added by `interface.py`.

    Args:
        u: Input, (b, d, l).
        delta: Step sizes, positive, (b, d, l).
        A: Decay in continuous time, negative, (d, n).
        B: Input projection of each step, (b, n, l).
        C: Output projection of each step, (b, n, l).

    Returns:
        y, (b, d, l), and the state after the last step, (b, d, n).
    """
    h = u.new_zeros(*u.shape[:2], A.shape[1])
    outputs = []
    # unbind, since indexing step by step would make autograd add up one full-length gradient per step
    for u_t, delta_t, B_t, C_t in zip(u.unbind(-1), delta.unbind(-1), B.unbind(-1), C.unbind(-1), strict=True):
        h = torch.exp(delta_t[..., None] * A) * h + delta_t[..., None] * B_t[:, None] * u_t[..., None]
        outputs.append((h * C_t[:, None]).sum(-1))
    return torch.stack(outputs, -1) if outputs else torch.zeros_like(u), h
