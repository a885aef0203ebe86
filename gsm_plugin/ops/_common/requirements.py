"""Tells where backends can run, without importing what they need: None where they can, else why not."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from gsm_plugin.switches import split_products

# Of kernels that compute in float32.
UP_TO_FLOAT32 = (torch.float32, torch.bfloat16, torch.float16)
_LEAST_CAPABILITY = (8, 0)


def nothing_needed(device: torch.device) -> str | None:
    """For backends that run on every device."""
    return None


def needs_triton(device: torch.device) -> str | None:
    """For kernels of Triton; cards of one machine may differ."""
    if device.type == 'cuda' and device.index is None and torch.cuda.is_available():
        device = torch.device('cuda', torch.cuda.current_device())
    return _why_no_triton(device)


@cache
def _why_no_triton(device: torch.device) -> str | None:
    if device.type != 'cuda':
        return f'its kernels run on CUDA devices, not on {device.type}'
    if not _is_installed('triton'):
        return 'triton is not installed'
    if not torch.cuda.is_available():
        return 'PyTorch finds no CUDA device'
    capability = torch.cuda.get_device_capability(device)
    if capability < _LEAST_CAPABILITY:
        return f'the GPU has compute capability {capability[0]}.{capability[1]}, its kernels need 8.0'
    return None


@cache
def needs_numba(device: torch.device) -> str | None:
    """For kernels that Numba compiles."""
    if device.type != 'cpu':
        return f'its kernels run on a CPU, not on {device.type}'
    if not _is_installed('numba'):
        return 'numba is not installed (pip install numba)'
    return None


def outside_autocast(x: Tensor, *_: object) -> str | None:
    """Of calls: why kernels that multiply in the type of what they get do not cover one, or None where they do."""
    return 'autocast is on, which rounds what is multiplied' if torch.is_autocast_enabled(x.device.type) else None


def splits_products(x: Tensor, *_: object) -> str | None:
    """Of calls without gradients: why kernels of split products do not cover one, or None where they do."""
    return outside_autocast(x) if split_products.products.is_on() else 'products are not to be split'


def needs_mamba_ssm(device: torch.device) -> str | None:
    """For mamba-ssm's scan."""
    if device.type != 'cuda':
        return f'mamba-ssm runs on CUDA devices, not on {device.type}'
    if not _is_installed('mamba_ssm'):
        return 'mamba-ssm is not installed'
    if not _is_installed('selective_scan_cuda'):
        return 'mamba-ssm is installed without its CUDA extension'
    if torch.are_deterministic_algorithms_enabled():
        return 'mamba-ssm adds gradients in no fixed order, and deterministic algorithms are asked for'
    return None


@cache
def _is_installed(module: str) -> bool:
    return find_spec(module) is not None
