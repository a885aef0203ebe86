"""Names that a package offers without importing them before they are asked for."""

import importlib
from collections.abc import Callable, Mapping


def lazily(package: dict, places: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Makes `__getattr__` and `__dir__` of a package.

    Args:
        package: Its `globals()`.
        places: By name, the module that has it.
    """

    def __getattr__(name: str) -> object:
        if name not in places:
            raise AttributeError(f'module {package["__name__"]!r} has no attribute {name!r}')
        value = package[name] = getattr(importlib.import_module(places[name]), name)
        return value

    return __getattr__, lambda: sorted({*package, *places})
