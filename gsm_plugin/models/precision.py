"""Mixed precision: what `train: precision` stands for."""

import torch

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of the network's forward pass; parameters stay float32, the loss belongs outside.

    Args:
        precision: A key of `PRECISIONS`; with fp32 nothing is cast.
        device: Where the network is.
    """
    # The dtype of a context that is off is still checked against the device.
    dtype = PRECISIONS[precision] if precision != 'fp32' else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != 'fp32')


def grad_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """A scaler that keeps small fp16 gradients from vanishing, and does nothing in the other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == 'fp16')
