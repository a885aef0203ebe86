"""Randomness that depends on where a training is, and on nothing that happened before.

So a run that goes on from a checkpoint draws what it would have drawn, with any number of worker processes.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def mixed_seed(*numbers: int) -> int:
    """One seed (64 bits) from several numbers from 0 up; the same in every version of NumPy."""
    # Their count too, because to NumPy zeros at the end are nothing.
    low, high = np.random.SeedSequence((len(numbers), *numbers)).generate_state(2)
    return int(low) | int(high) << 32


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seeds Python's, NumPy's and PyTorch's generators on the CPU for a while, and leaves them as they were.

    Args:
        numbers: What the seed is mixed from, from 0 up.
    """
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    _seed_cpu(mixed_seed(*numbers))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def seed_all(*numbers: int) -> None:
    """Seeds all generators of this process, those of the GPUs among them.

    Args:
        numbers: What the seed is mixed from, from 0 up.
    """
    seed = mixed_seed(*numbers)
    _seed_cpu(seed)
    torch.cuda.manual_seed_all(seed)


def _seed_cpu(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
