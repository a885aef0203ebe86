"""Precision of a network that runs: what each name stands for, what a device can do, and which is fastest on it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from gsm_plugin.compat import UserError
from gsm_plugin.ops import tf32

PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16')
_HALF = {'bf16': torch.bfloat16, 'fp16': torch.float16}


@contextmanager
def running_in(precision: str, device: torch.device) -> Iterator[None]:
    """Where networks run in a precision; their parameters stay float32.

    Args:
        precision: fp32 is float32 without TF32, tf32 is float32 whose products and convolutions are by TF32, bf16 and
            fp16 are autocast, which leaves PyTorch's switches for TF32 as they are.
        device: Where the network is.
    """
    with ExitStack() as stack:
        if precision in _HALF:
            stack.enter_context(torch.autocast(device.type, _HALF[precision]))
        else:
            # a caller may be under autocast
            stack.enter_context(torch.autocast(device.type, enabled=False))
            if device.type == 'cuda':
                stack.enter_context(tf32.products.turned(precision == 'tf32'))
                stack.enter_context(tf32.convolutions.turned(precision == 'tf32'))
        yield


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
    if wanted not in PRECISIONS:
        raise UserError(f'precision is {wanted!r}; it must be one of auto, {", ".join(PRECISIONS)}.')
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
