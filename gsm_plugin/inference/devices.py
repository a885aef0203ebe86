"""From the name of a device to a device that is there."""

import torch

from gsm_plugin.errors import UserError

_KINDS = ('cpu', 'cuda', 'mps')


def choose_device(name: str | torch.device = 'auto') -> torch.device:
    """The device of a name.

    Args:
        name: auto (a GPU of CUDA where there is one, else the CPU), cpu, cuda, cuda:1, mps.

    Raises:
        UserError: There is no such device.
    """
    if str(name) == 'auto':
        return torch.device('cuda', torch.cuda.current_device()) if torch.cuda.is_available() else torch.device('cpu')
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise UserError(f'device is {name!r}; it must be auto, cpu, cuda, cuda:NUMBER or mps.') from error
    if device.type not in _KINDS:
        raise UserError(f'device is {name!r}; it must be auto, cpu, cuda, cuda:NUMBER or mps.')
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
