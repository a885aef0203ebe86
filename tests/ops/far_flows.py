"""Flows that lead far outside the image or are not finite, and what an op makes of them."""

import math

import torch

from gsm_plugin.ops._common.grid import FAR
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

N, H, W = 2, 4, 4
# with fractions that float32 has, as far as there are any
LENGTHS = [1000.25, 1e6 + 1 / 16, FAR, 1e24, math.inf, math.nan]


def bad_flow():
    """A pixel for every length in every direction, along an axis or aslant, and two of good flow, (N, 2, H, W)."""
    near = -0.3125
    flow = [
        way
        for length in LENGTHS
        for way in ((length, near), (near, length), (-length, near), (near, -length), (length, -length))
    ]
    flow = torch.tensor([*flow, (near, near), (near, near)], dtype=torch.float64)
    return flow.view(N, H, W, 2).movedim(-1, 1).contiguous()


def beyond(x):
    return ~(x.abs() < FAR)


def assert_close(actual, expected, dtype):
    assert actual.isfinite().all()
    assert expected.isfinite().all()
    absolute, relative = TOLERANCES[dtype]
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.double(), expected.double(), atol=absolute * scale, rtol=relative)


def results(function, flow, tensors, dtype):
    """Output and gradients, that to the flow first; features of half precision have a flow in float32."""
    flow = flow.to(DEVICE, torch.promote_types(dtype, torch.float32))
    leaves = [leaf.detach().requires_grad_() for leaf in (flow, *(tensor.to(dtype) for tensor in tensors))]
    output = function(*leaves)
    cotangent = random_tensors(output.shape, seed=1)[0].to(DEVICE).bfloat16().to(output.dtype)
    gradients = torch.autograd.grad(output, leaves, cotangent, allow_unused=True)
    return [output, *(gradient for gradient in gradients if gradient is not None)]
