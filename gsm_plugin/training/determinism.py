"""The option `deterministic`: algorithms that give the same numbers each time, or the fastest ones."""

import os

import torch


def choose_algorithms(deterministic: bool) -> None:
    """Lets PyTorch take deterministic algorithms, or those that cuDNN measures to be fastest, as BasicSR does.

    Args:
        deterministic: Whether to; an operation that has no deterministic algorithm on the device then raises.
    """
    if deterministic:
        # cuBLAS reads it when it starts, and PyTorch refuses to multiply without it.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
