"""Where Triton kernels are tested: on the GPU if there is one, else on the CPU by Triton's interpreter."""

import os

import torch

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
if DEVICE == 'cpu':
    # Read when kernels are defined: test modules import this one before them.
    os.environ['TRITON_INTERPRET'] = '1'


def on_device(function):
    """Lets a function of tensors on the CPU run on DEVICE."""
    return lambda *tensors: function(*(x.to(DEVICE) for x in tensors)).cpu()
