"""Global switches, PyTorch's and ours, turned for a while."""

import threading

_OFF_AND_ON = False, True


class Switch:
    """A switch that is an attribute.

    Args:
        owner: What has the attribute.
        name: Its name.
        values: What it is where it is off, and where it is on.
    """

    def __init__(self, owner: object, name: str, values: tuple[object, object] = _OFF_AND_ON) -> None:
        self._owner, self._name, self._values = owner, name, values
        self._lock = threading.Lock()
        self._before: object = None
        self._turned: list[TurnedSwitch] = []

    def is_on(self) -> bool:
        """Whether it is on."""
        return getattr(self._owner, self._name) == self._values[True]

    def turned(self, on: bool) -> 'TurnedSwitch':
        """A context in which the switch is on or off, for all threads.

        It may be entered again, as a backward pass may do. Contexts of several threads (DataParallel's) may overlap:
        after the last of them, the switch is as it was before the first.
        """
        return TurnedSwitch(self, on)

    def enter(self, context: 'TurnedSwitch') -> None:
        """Turns the switch as a context wants."""
        with self._lock:
            if not self._turned:
                self._before = getattr(self._owner, self._name)
            self._turned.append(context)
            self._set()

    def leave(self, context: 'TurnedSwitch') -> None:
        """Turns the switch as the other contexts want, or back."""
        with self._lock:
            self._turned.remove(context)
            self._set()

    def _set(self) -> None:
        value = self._values[self._turned[-1].on] if self._turned else self._before
        setattr(self._owner, self._name, value)


class TurnedSwitch:
    """See `Switch.turned`.

    Attributes:
        on: How the switch is turned.
    """

    def __init__(self, switch: Switch, on: bool) -> None:
        self._switch, self.on = switch, on

    def __enter__(self) -> None:
        self._switch.enter(self)

    def __exit__(self, *_) -> None:
        self._switch.leave(self)
