"""Where Triton kernels are tested: on the GPU if there is one, else on the CPU by Triton's interpreter."""

import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def on_device(function):
    """Lets a function of tensors on the CPU run on DEVICE."""
    return lambda *tensors: function(*(x.to(DEVICE) for x in tensors)).cpu()
