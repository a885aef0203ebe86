"""The bidirectional scan put together from PyTorch's convolution and the selective scan: the law, and its fast form."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.selective_scan.interface import selective_scan


def bidirectional_scan_naive(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there, step by step."""
    return _both_directions(x, z, parameters, 'naive')


def bidirectional_scan_torch(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """Computes `bidirectional_scan` with the lockstep scan."""
    return _both_directions(x, z, parameters, 'torch')


def _both_directions(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...], scan_backend: str) -> Tensor:
    x, z = x.transpose(1, 2), z.transpose(1, 2)
    forward, backward = (tuple(both[i] for both in parameters) for i in range(2))
    y = _direction(x, z, *forward, scan_backend)
    y = y + _direction(x.flip(2), z.flip(2), *backward, scan_backend).flip(2)
    return y.transpose(1, 2)


def _direction(
    x: Tensor,
    z: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    scan_backend: str,
) -> Tensor:
    """One direction: x and z (b, d, l) -> (b, d, l)."""
    (d, width), n = conv_weight.shape, A.shape[1]
    u = F.silu(F.conv1d(F.pad(x, (width - 1, 0)), conv_weight[:, None], conv_bias, groups=d))
    dt, B, C = (x_proj @ u).split([dt_proj.shape[1], n, n], 1)
    return selective_scan(u, dt_proj @ dt, A, B, C, D, z, dt_bias, delta_softplus=True, backend=scan_backend)
