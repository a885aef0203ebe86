"""Tells where kernels of Triton and of Numba can run, without importing either."""

from functools import cache
from importlib.util import find_spec

import torch

# What Numba's kernels compute: all in float32.
UP_TO_FLOAT32 = (torch.float32, torch.bfloat16, torch.float16)
_LEAST_CAPABILITY = (8, 0)


@cache
def why_no_triton(device_type: str) -> str | None:
    """Why Triton kernels cannot run on a device type (`cpu`, `cuda`, ...), or None where they can."""
    if device_type != 'cuda':
        return f'its kernels run on CUDA devices, not on {device_type}'
    if find_spec('triton') is None:
        return 'triton is not installed'
    if not torch.cuda.is_available():
        return 'PyTorch finds no CUDA device'
    capability = torch.cuda.get_device_capability()
    if capability < _LEAST_CAPABILITY:
        return f'the GPU has compute capability {capability[0]}.{capability[1]}, its kernels need 8.0'
    return None


@cache
def why_no_numba(device_type: str) -> str | None:
    """Why kernels compiled by Numba cannot run on a device type (`cpu`, `cuda`, ...), or None where they can."""
    if device_type != 'cpu':
        return f'its kernels run on a CPU, not on {device_type}'
    if find_spec('numba') is None:
        return 'numba is not installed (pip install numba)'
    return None
