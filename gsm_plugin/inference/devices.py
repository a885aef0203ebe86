"""From the name of a device to a device that is there, and to the precisions that it computes in."""

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import check_device_name, check_precision_name


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


def choose_precision(wanted: str, device: torch.device) -> tuple[str, str]:
    """The precision to run in, and why.

    Args:
        wanted: One of `PRECISIONS`, or auto for the fastest one that the device computes in hardware.
        device: Where the network runs.

    Raises:
        UserError: There is no such precision, or the device cannot do it.
    """
    if wanted == 'auto':
        return _fastest(device)
    check_precision_name(wanted)
    reason = why_not(wanted, device)
    if reason is not None:
        raise UserError(f'precision is {wanted}, but {reason}; take {_fastest(device)[0]} or auto.')
    if wanted == 'bf16' and device.type == 'cpu':
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return wanted, 'as asked; this CPU has no instructions for it, so that it is much slower than fp32'
        return wanted, 'as asked; a GSM then computes partly in float16, which most CPUs emulate: fp32 is faster'
    return wanted, 'as asked'


def why_not(precision: str, device: torch.device) -> str | None:
    """Why a device cannot compute in one of `PRECISIONS`, or None where it can."""
    if precision == 'fp32':
        return None
    if device.type == 'cpu':
        return None if precision == 'bf16' else f'a CPU does not compute in {precision}'
    if device.type != 'cuda':
        return f'{precision} has not been tried on devices of type {device.type}'
    if precision != 'fp16' and torch.cuda.get_device_capability(device) < (8, 0):
        return f'{torch.cuda.get_device_name(device)} has no units for it'
    return None


def _cuda(device: torch.device) -> torch.device:
    if not torch.cuda.is_available():
        raise UserError(f"device is '{device}', but PyTorch finds no CUDA device; take cpu, or install its driver.")
    count = torch.cuda.device_count()
    index = torch.cuda.current_device() if device.index is None else device.index
    if index >= count:
        raise UserError(f"device is '{device}', but there are {count}: cuda:0 to cuda:{count - 1}.")
    return torch.device('cuda', index)


def _fastest(device: torch.device) -> tuple[str, str]:
    if device.type != 'cuda':
        return 'fp32', f'the fastest on {"a CPU" if device.type == "cpu" else device.type}'
    precision = 'bf16' if why_not('bf16', device) is None else 'fp16'
    return precision, f'the fastest on {torch.cuda.get_device_name(device)} that keeps frames'
