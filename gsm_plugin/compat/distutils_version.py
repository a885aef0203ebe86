"""Python 3.12 took `distutils` out; `basicsr.archs.arch_util` compares torchvision's version by its `LooseVersion`.

Setuptools brings a `distutils` of its own, but an environment need not have setuptools.
"""

import functools
import re
from types import ModuleType


def fill_package(module: ModuleType) -> None:
    """Makes the empty package `distutils`; BasicSR needs nothing but its submodule `version`."""


def fill(module: ModuleType) -> None:
    """Gives the stand-in for `distutils.version` its `LooseVersion`."""
    vars(module).update(LooseVersion=LooseVersion)


@functools.total_ordering
class LooseVersion:
    """A version that compares by its leading numbers: '0.29.1+cpu' is 0.29.1.

    Args:
        text: The version, such as `torchvision.__version__`.
    """

    def __init__(self, text: str):
        self.vstring = text
        leading = re.findall(r'\d*(?:\.\d+)*', text)[0]
        self.version = [int(number) for number in leading.split('.') if number]

    def __eq__(self, other: object) -> bool:
        return self.version == _as_version(other).version

    def __lt__(self, other: object) -> bool:
        return self.version < _as_version(other).version

    def __hash__(self) -> int:
        return hash(tuple(self.version))

    def __repr__(self) -> str:
        return f"LooseVersion('{self.vstring}')"


def _as_version(value: object) -> LooseVersion:
    return value if isinstance(value, LooseVersion) else LooseVersion(str(value))
