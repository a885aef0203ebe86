"""Refuses weights that are no real numbers: whole ones, and NaN or infinite ones, as a diverged training leaves."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gsm_plugin.errors import UserError


def check_values(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str | Path) -> None:
    """Refuses weights of whole or complex numbers where a network has real ones, and values that are NaN or infinite.

    Args:
        weights: What a network is about to take, by name.
        own: What it has so far, in the types that it computes in. Where that is infinite at the same places, as in a
            table of masks, it is meant so.
        path: The file, for the sentence.

    Raises:
        UserError: A type is of another kind, or values are not finite in the network's type; the text names the first
            weight with some, and counts all.
    """
    for name, value in weights.items():
        if own[name].is_floating_point() and not value.is_floating_point():
            raise UserError(
                f'{path} holds {name} as {str(value.dtype).removeprefix("torch.")}, which is no type of real numbers; '
                f'give the weights that it was made from, in float32 or float16.'
            )
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
    # As the network takes them: float64 has larger ones, and types of 8 bits have no such function.
    bad = ~torch.isfinite(value.to(own.dtype) if own.is_floating_point() else value)
    count = int(bad.sum())
    if count and own.shape == value.shape and torch.equal(bad, ~torch.isfinite(own.cpu())):
        return 0
    return count
