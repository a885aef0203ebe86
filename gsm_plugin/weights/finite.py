"""Refuses weights that hold values which are no numbers, as a diverged training leaves them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gsm_plugin.errors import UserError


def check_finite(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str | Path) -> None:
    """Refuses weights of which values are NaN or infinite.

    Args:
        weights: What a network is about to take, by name.
        own: What it has so far: where that is infinite at the same places, as in a table of masks, it is meant so.
        path: The file, for the sentence.

    Raises:
        UserError: Values are not finite; the text names the first weight with some, and counts all.
    """
    bad = {name: count for name, value in weights.items() if (count := _not_meant(value, own[name]))}
    if bad:
        name, count = next(iter(bad.items()))
        others = f', and {len(bad) - 1} other weights' if len(bad) > 1 else ''
        raise UserError(
            f'{path} holds values that are no numbers (NaN or infinite): {count} of {weights[name].numel()} in {name}'
            f'{others}; its training diverged or the file is damaged, so take weights of an earlier iteration.'
        )


def _not_meant(value: Tensor, own: Tensor) -> int:
    """How many values are not finite without being so in the network itself."""
    if not (value.is_floating_point() or value.is_complex()):
        return 0
    # Types of 8 bits have no such function.
    value = value if value.is_complex() or value.element_size() > 1 else value.float()
    bad = ~torch.isfinite(value)
    count = int(bad.sum())
    if count and own.shape == value.shape and torch.equal(bad, ~torch.isfinite(own.cpu())):
        return 0
    return count
