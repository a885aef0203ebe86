"""Parameters that stay as they are throughout a training (`train: freeze`)."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from basicsr.utils import get_root_logger
from torch import nn

from gsm_plugin.errors import UserError
from gsm_plugin.models.flow_training import FLOW_NETWORK


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Takes parameters out of the training, and logs how many.

    They need no gradient from then on, so this has to come before DistributedDataParallel, which waits for the
    gradients of all that do.

    Args:
        network: The network itself, not wrapped.
        patterns: Names of parameters with the wildcards *, ? and [...], such as `spynet.*`; a * also stands for dots.

    Raises:
        UserError: There is no list of names, one fits no parameter, or nothing is left to be trained.
    """
    parameters = dict(network.named_parameters())
    names = frozen_names(network, patterns)
    for name in names:
        parameters[name].requires_grad_(False)
    numbers = sum(parameters[name].numel() for name in names)
    get_root_logger().info(
        f'Frozen by train: freeze: {len(names)} of {len(parameters)} parameters of {type(network).__name__} '
        f'({numbers:,} numbers).'
    )


def keep_flow_network(network: nn.Module) -> None:
    """Takes the flow network, if there is one, out of the training, and says so; see `freeze`."""
    kept = [parameter for name, parameter in network.named_parameters() if FLOW_NETWORK in name]
    for parameter in kept:
        parameter.requires_grad_(False)
    if not kept:
        return
    get_root_logger().info(
        'The flow network keeps the weights that it was loaded with; set train: flow_lr_mul to train it '
        '(docs/training.md says why that rarely pays).'
    )


def frozen_names(network: nn.Module, patterns: Sequence[str]) -> set[str]:
    """Tells which parameters `freeze` would take, and refuses what it refuses; the network is not changed."""
    if not isinstance(patterns, list | tuple) or not all(isinstance(pattern, str) for pattern in patterns):
        raise UserError(f"train: freeze is {patterns!r}; give a list of names such as ['spynet.*'].")
    every = [name for name, _ in network.named_parameters()]
    frozen = set()
    for pattern in patterns:
        names = [name for name in every if fnmatchcase(name, pattern)]
        if not names:
            raise UserError(
                f'train: freeze has {pattern!r}, which fits no parameter of {type(network).__name__}; '
                f'did you mean {_nearest(pattern, every)!r}?'
            )
        frozen |= set(names)
    if len(frozen) == len(every):
        raise UserError(f'train: freeze is {list(patterns)}, which leaves nothing to train; take a pattern out.')
    return frozen


def _nearest(pattern: str, names: Sequence[str]) -> str:
    modules = {'.'.join(name.split('.')[:count]) for name in names for count in range(1, name.count('.') + 1)}
    known = [f'{module}.*' for module in sorted(modules)] + list(names)
    if pattern in modules:
        return f'{pattern}.*'
    return difflib.get_close_matches(pattern, known, n=1, cutoff=0.0)[0]
