"""Mixed precision of training: what keeps gradients from vanishing."""

import torch


def grad_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """A scaler that keeps small fp16 gradients from vanishing, and does nothing in the other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == 'fp16')
