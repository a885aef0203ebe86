"""How ops are compared: every output and every gradient, and one table of tolerances."""

import torch

# (absolute, relative)
TOLERANCES = {
    torch.float64: (1e-10, 1e-8),
    torch.float32: (2e-5, 2e-4),
    torch.bfloat16: (3e-2, 3e-2),
    torch.float16: (4e-3, 4e-3),
}


def random_tensors(*shapes, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def assert_same_function(actual_function, expected_function, inputs, dtype=torch.float64):
    """Compares outputs and all gradients; the expected ones are computed in float64 from the rounded inputs."""
    results = []
    for function, kind in ((actual_function, dtype), (expected_function, torch.float64)):
        leaves = [x.to(dtype).to(kind).requires_grad_() for x in inputs]
        output = function(*leaves)
        cotangent = random_tensors(output.shape, seed=1)[0].to(dtype).to(kind)
        gradients = torch.autograd.grad(output, leaves, cotangent)
        results.append([output, *gradients])
    absolute, relative = TOLERANCES[dtype]
    for actual, expected in zip(*results, strict=True):
        scale = max(1.0, expected.abs().max().item() if expected.numel() else 1.0)
        torch.testing.assert_close(actual.double(), expected, atol=absolute * scale, rtol=relative)
