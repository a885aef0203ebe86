"""Parameters that hold still through a clip, or drift slowly."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drifting:
    """A parameter over the time of a clip, which runs from 0 to 1.

    Attributes:
        start: At the beginning.
        end: At the end; in between it goes there smoothly.
    """

    start: float
    end: float

    def at(self, time: float) -> float:
        """Its value."""
        return self.start + (self.end - self.start) * (1 - np.cos(np.pi * time)) / 2


@dataclass(frozen=True)
class Drift:
    """How parameters drift.

    Attributes:
        prob: Probability that one drifts at all.
        most: How far at most, as a part of its range.
    """

    prob: float
    most: float

    def draw(self, limits: tuple[float, float], rng: np.random.Generator) -> Drifting:
        """Draws a parameter out of its range, in which it stays."""
        low, high = limits
        start = end = rng.uniform(low, high)
        if rng.uniform() < self.prob:
            end = float(np.clip(start + rng.uniform(-1, 1) * self.most * (high - low), low, high))
        return Drifting(start, end)
