"""From the name of a device to a device that is there."""

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import check_device_name


def choose_device(name: str | torch.device = 'auto') -> torch.device:
    """The device of a name.

    Args:
        name: auto (a GPU of CUDA where there is one, else the CPU), cpu, cuda, cuda:1, mps.

    Raises:
        UserError: There is no such device.
    """
    if str(name) == 'auto':
        return torch.device('cuda', torch.cuda.current_device()) if torch.cuda.is_available() else torch.device('cpu')
    check_device_name(name)
    device = torch.device(name)
    if device.type == 'cuda':
        return _cuda(device)
    if device.type == 'mps' and not torch.backends.mps.is_available():
        raise UserError("device is 'mps', but PyTorch finds no GPU of Apple's; take cpu.")
    return device


def _cuda(device: torch.device) -> torch.device:
    if not torch.cuda.is_available():
        raise UserError(f"device is '{device}', but PyTorch finds no CUDA device; take cpu, or install its driver.")
    count = torch.cuda.device_count()
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= count:
        raise UserError(f"device is '{device}', but there are {count}: cuda:0 to cuda:{count - 1}.")
    return torch.device('cuda', index)
