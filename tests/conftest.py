"""What has to happen before tests import anything else."""

import os

import torch

import gsm_plugin  # noqa: F401 - patches BasicSR, which the tests import themselves
from tests.interpreter import patch_once_a_launch

# Without a GPU, Triton kernels run in Triton's interpreter, which has to be chosen before anything imports Triton.
if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'
    patch_once_a_launch()
