"""Smooth random motion of a plane: it shifts, turns, zooms and shears, and all of that accelerates."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MotionRanges:
    """From where motion is drawn; small values are drawn more often than large ones.

    Attributes:
        shift: Least and greatest speed, pixels a frame.
        turn: Degrees a frame.
        zoom: Relative change of size a frame.
        shear: Change of the shear factor a frame.
        acceleration: By how much of itself each speed changes from the middle of the clip to its ends, at most.
        shake: Greatest amplitude of an oscillation beside it, pixels.
    """

    shift: tuple[float, float]
    turn: tuple[float, float]
    zoom: tuple[float, float]
    shear: tuple[float, float]
    acceleration: float
    shake: float


@dataclass(frozen=True)
class Curve:
    """One number over time: `speed * t + bend * t^2 + swing * sin(pace * t + phase)`, without the value at 0."""

    speed: float
    bend: float
    swing: float = 0.0
    pace: float = 0.0
    phase: float = 0.0

    def at(self, time: float) -> float:
        """The value at a time in frames."""
        swing = np.sin(self.pace * time + self.phase) - np.sin(self.phase)
        return self.speed * time + self.bend * time**2 + self.swing * swing


@dataclass(frozen=True)
class Motion:
    """Where a picture lies on the canvas, over time in frames.

    Attributes:
        anchor: The point of the picture (x, y) that at time 0 lies on `place`.
        place: A point of the canvas (x, y).
        x: Way of the picture over the canvas, pixels.
        y: The same downwards.
        turn: Degrees.
        zoom: Logarithm of the enlargement.
        shear: Shear factor.
    """

    anchor: tuple[float, float]
    place: tuple[float, float]
    x: Curve
    y: Curve
    turn: Curve
    zoom: Curve
    shear: Curve

    def matrix(self, time: float) -> np.ndarray:
        """(2, 3): takes a point of the canvas (x, y, 1) to the point of the picture that is seen there."""
        angle, size = np.deg2rad(self.turn.at(time)), np.exp(-self.zoom.at(time))
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        linear = size * rotation @ np.array([[1.0, self.shear.at(time)], [0.0, 1.0]])
        there = np.add(self.place, (self.x.at(time), self.y.at(time)))
        return np.column_stack([linear, np.array(self.anchor) - linear @ there])


def draw_motion(
    ranges: MotionRanges,
    frames: int,
    anchor: tuple[float, float],
    place: tuple[float, float],
    rng: np.random.Generator,
) -> Motion:
    """Draws a motion.

    Args:
        ranges: From where.
        frames: Length of the clip, whose middle is time 0.
        anchor: Point of the picture.
        place: Point of the canvas on which it lies in the middle of the clip.
        rng: Source of randomness.
    """
    direction, bend_direction = rng.uniform(0, 2 * np.pi, 2)
    speed, half = _small_first(ranges.shift, rng), max(frames / 2, 1.0)
    bend = rng.uniform(0, ranges.acceleration) * speed / (2 * half)
    swing = rng.uniform(0, ranges.shake) * rng.uniform(0, 1, 2)
    pace, phase = rng.uniform(0.2, 1.2, 2), rng.uniform(0, 2 * np.pi, 2)

    def way(part) -> Curve:
        number = 0 if part is np.cos else 1
        return Curve(speed * part(direction), bend * part(bend_direction), swing[number], pace[number], phase[number])

    def change(limits: tuple[float, float]) -> Curve:
        rate = _small_first(limits, rng) * rng.choice((-1, 1))
        return Curve(rate, rng.uniform(-1, 1) * ranges.acceleration * rate / (2 * half))

    return Motion(
        anchor, place, way(np.cos), way(np.sin), change(ranges.turn), change(ranges.zoom), change(ranges.shear)
    )


def rest(anchor: tuple[float, float], place: tuple[float, float]) -> Motion:
    """No motion."""
    still = Curve(0.0, 0.0)
    return Motion(anchor, place, still, still, still, still, still)


def greatest_step(motion: Motion, times: list[float], side: int) -> float:
    """The longest way, in pixels, that a corner or the middle of a square canvas goes from one time to the next."""
    points = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1], [side / 2, side / 2, 1]]).T
    seen = np.stack([motion.matrix(time) @ points for time in times])
    return float(np.max(np.linalg.norm(np.diff(seen, axis=0), axis=1))) if len(times) > 1 else 0.0


def _small_first(limits: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = limits
    return low + (high - low) * rng.uniform() ** 2
