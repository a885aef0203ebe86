"""How long the network still works: by the windows that are done, and before the first one is by a guess."""

from collections.abc import Sequence


class Pace:
    """Predicts time.

    A frame that two windows see counts twice.

    Args:
        windows: Frames that the network sees in each window to come.
        now: When the work begins, in seconds of any clock.
        guess: Seconds that a frame of a window may take, from a small measurement; None where there is none.
    """

    def __init__(self, windows: Sequence[int], now: float, guess: float | None = None):
        self.windows, self.done = len(windows), 0
        self._to_see, self._seen = sum(windows), 0
        self._began = self._ended = now
        self._guess = guess

    def end_window(self, frames: int, now: float) -> None:
        """A window of so many frames is done."""
        self.done, self._seen, self._ended = self.done + 1, self._seen + frames, now

    @property
    def seconds_a_frame(self) -> float | None:
        """Seconds that a frame of a window takes; None where nothing is known yet."""
        return (self._ended - self._began) / self._seen if self._seen else self._guess

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last window is done; None where nothing is known, or the guess was too low."""
        pace = self.seconds_a_frame
        if pace is None:
            return None
        left = (self._to_see - self._seen) * pace - (now - self._ended)
        return max(0.0, left) if left > 0 or self._seen else None
