"""How a patch puts a function in the place of one of BasicSR's, whose modules have no types."""

import functools
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar('Function', bound=Callable)


def replaces(owner: object) -> Callable[[Function], Function]:
    """Decorates what takes the place of the function of the same name; that one stays behind it, as `__wrapped__`.

    Args:
        owner: The module, class or object that has the function.
    """

    def put(function: Function) -> Function:
        name = function.__name__
        functools.update_wrapper(function, getattr(owner, name))
        setattr(owner, name, function)
        return function

    return put
