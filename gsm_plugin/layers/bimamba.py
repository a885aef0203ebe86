"""The bidirectional Mamba block (Vision Mamba, arXiv 2401.09417, the variant "v2" of its code)."""

import math

import torch
from torch import Tensor, nn

from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.sharing import shared
from gsm_plugin.ops import ScanParameters, bidirectional_scan


class BiMamba(nn.Module):
    """Two selective scans over a sequence, one from each end, with parameters of their own, summed.

    Args:
        d_model: Channels of input and output.
        d_state: Size of the state of each inner channel.
        d_conv: Width of the causal convolution.
        expand: Inner channels relative to `d_model`.
        backend: Backend of the scan.
    """

    conv1d: nn.Conv1d
    conv1d_b: nn.Conv1d
    x_proj: nn.Linear
    x_proj_b: nn.Linear
    dt_proj: nn.Linear
    dt_proj_b: nn.Linear
    A_log: nn.Parameter
    A_b_log: nn.Parameter
    D: nn.Parameter
    D_b: nn.Parameter

    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2, backend: str = 'auto'):
        super().__init__()
        d_inner, self.dt_rank = expand * d_model, math.ceil(d_model / 16)
        self.backend = backend
        self.in_proj = Linear(d_model, 2 * d_inner, bias=False)
        self.out_proj = Linear(d_inner, d_model, bias=False)
        for suffix in ('', '_b'):
            conv = nn.Conv1d(d_inner, d_inner, d_conv, padding=d_conv - 1, groups=d_inner)
            self.add_module(f'conv1d{suffix}', conv)
            self.add_module(f'x_proj{suffix}', nn.Linear(d_inner, self.dt_rank + 2 * d_state, bias=False))
            self.add_module(f'dt_proj{suffix}', nn.Linear(self.dt_rank, d_inner))
            steps = torch.arange(1, d_state + 1, dtype=torch.float32)
            self.register_parameter(f'A{suffix}_log', nn.Parameter(steps.log().repeat(d_inner, 1)))
            self.register_parameter(f'D{suffix}', nn.Parameter(torch.ones(d_inner)))
        self.reset_step_sizes()

    def reset_step_sizes(self) -> None:
        """Draws the step sizes softplus(bias) log-uniformly from [0.001, 0.1], as Mamba does (arXiv 2312.00752)."""
        for dt_proj in (self.dt_proj, self.dt_proj_b):
            nn.init.uniform_(dt_proj.weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
            log_step = torch.empty_like(dt_proj.bias).uniform_(math.log(0.001), math.log(0.1))
            step = log_step.exp()
            with torch.no_grad():
                dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))

    def forward(self, x: Tensor, kept: torch.dtype | None = None) -> Tensor:
        """Projects to inner channels and gates, scans the one, gated by the other, and projects back.

        Of each direction the scan is Mamba's own: causal convolution, SiLU, `selective_scan`, gate. Step by step it
        stands in `gsm_plugin/ops/bidirectional_scan/naive.py`.

        Args:
            x: The sequence, (b, l, d_model).
            kept: Type in which the scan keeps its steps for the backward pass, see `bidirectional_scan`; None for x's.

        Returns:
            (b, l, d_model).
        """
        inner, z = self.in_proj(x).chunk(2, -1)
        # windows of a sweep share the stacked parameters
        return self.out_proj(bidirectional_scan(inner, z, shared(self.scan_parameters), self.backend, kept))

    def scan_parameters(self) -> ScanParameters:
        """Stacks the parameters of both directions."""
        assert self.conv1d.bias is not None
        assert self.conv1d_b.bias is not None
        pairs: tuple[tuple[Tensor, Tensor], ...] = (
            (self.conv1d.weight.squeeze(1), self.conv1d_b.weight.squeeze(1)),
            (self.conv1d.bias, self.conv1d_b.bias),
            (self.x_proj.weight, self.x_proj_b.weight),
            (self.dt_proj.weight, self.dt_proj_b.weight),
            (self.dt_proj.bias, self.dt_proj_b.bias),
            (-torch.exp(self.A_log), -torch.exp(self.A_b_log)),
            (self.D, self.D_b),
        )
        return ScanParameters(*(torch.stack(pair) for pair in pairs))
