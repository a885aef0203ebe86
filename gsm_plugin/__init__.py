"""Gather-Scatter Mamba and what a video super-resolution user needs around it, as a guest of BasicSR."""

import sys
from types import ModuleType

from gsm_plugin import compat

__version__ = '0.1.0'

compat.install()


def register() -> None:
    """Adds the plugin to BasicSR, for scripts that call BasicSR's pipelines; calling it again changes nothing.

    The networks, models and data sets go into BasicSR's registries, and `train_pipeline` and `test_pipeline` read and
    check their option files as the `basicsr` command does.
    """
    from gsm_plugin.engine.pipelines import take_over_parsing
    from gsm_plugin.register import register_all

    register_all()
    take_over_parsing()


class _Package(ModuleType):
    """Keeps the function `register`, which the import of the module of that name would hide."""

    def __setattr__(self, name: str, value: object) -> None:
        if name != 'register' or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
