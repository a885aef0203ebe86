"""The switch between a network and what computes the same without gradients."""

import functools
from collections.abc import Callable

import torch

from gsm_plugin.layers.precision import inference_policy, is_plain


def fast_without_gradients(method: Callable) -> Callable:
    """Makes a method of a network hand over to that of its `fast()`, where no gradients are wanted.

    This is all that tells training from inference: every command, script and user gets the fast one by
    `torch.no_grad()`, and what stands in the method by turning gradients on, which need not be taken. A policy of plain
    autocast gets what stands in the method, too, since the fast one has types of its own. The fast one multiplies
    float32 as the policy of inference does.

    Args:
        method: A method of a network that has a method `fast`, whose result has a method of the same name.
    """

    @functools.wraps(method)
    def either(network, *args, **kwargs):
        if torch.is_grad_enabled() or is_plain():
            return method(network, *args, **kwargs)
        parameter = next(network.parameters())
        with inference_policy(parameter).without_gradients(parameter.device):
            return getattr(network.fast(), method.__name__)(*args, **kwargs)

    return either
