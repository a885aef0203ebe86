"""Precision of a network that runs: what each name stands for, what a device can do, and which is fastest on it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import check_precision_name
from gsm_plugin.switches import tf32

HALF = {'bf16': torch.bfloat16, 'fp16': torch.float16}


@contextmanager
def running_in(precision: str, device: torch.device) -> Iterator[None]:
    """Where networks run in a precision; their parameters stay float32.

    Args:
        precision: fp32 is float32 without TF32, tf32 is float32 whose products and convolutions are by TF32, bf16 and
            fp16 are autocast, which leaves PyTorch's switches for TF32 as they are.
        device: Where the network is.
    """
    with autocast(precision, device), multiplying_float32(precision, device):
        yield


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The autocast that a precision stands for: to half precision, or none, whatever the caller is under."""
    # The dtype of a context that is off is still checked against the device.
    return torch.autocast(device.type, HALF.get(precision, torch.bfloat16), enabled=precision in HALF)


@contextmanager
def multiplying_float32(precision: str, device: torch.device) -> Iterator[None]:
    """Where a GPU multiplies float32 by TF32 (tf32) or does not (fp32); with bf16 and fp16 as PyTorch has it."""
    if device.type != 'cuda' or precision in HALF:
        yield
        return
    with tf32.products.turned(precision == 'tf32'), tf32.convolutions.turned(precision == 'tf32'):
        yield


def multiplies_by_tf32(precision: str, device: torch.device) -> bool:
    """Whether anything is multiplied by TF32 in a precision."""
    with multiplying_float32(precision, device):
        return device.type == 'cuda' and (tf32.convolutions.is_on() or tf32.products.is_on())


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
    if wanted == 'bf16' and device.type == 'cpu' and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return wanted, 'as asked; this CPU has no instructions for it, so that it is much slower than fp32'
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


def _fastest(device: torch.device) -> tuple[str, str]:
    if device.type != 'cuda':
        return 'fp32', f'the fastest on {"a CPU" if device.type == "cpu" else device.type}'
    precision = 'bf16' if why_not('bf16', device) is None else 'fp16'
    return precision, f'the fastest on {torch.cuda.get_device_name(device)} that keeps frames'
