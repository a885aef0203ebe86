"""Makes networks by the name of their class: this package's own, and any of BasicSR's registry."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

from torch import nn

from gsm_plugin.archs.bicubic_arch import Bicubic
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.archs.vrt_arch import VRT
from gsm_plugin.errors import UserError

if TYPE_CHECKING:
    from basicsr.utils.registry import Registry

OWN = {'GSMamba': GSMamba, 'VRT': VRT, 'Bicubic': Bicubic}


def build(network_g: dict) -> nn.Module:
    """Makes a network.

    Args:
        network_g: `type` and the arguments of its constructor, as in the section `network_g` of an option file.

    Raises:
        UserError: There is no such network, or it does not take the arguments.
    """
    options = dict(network_g)
    kind = options.pop('type', None)
    cls = _class_of(kind)
    known = inspect.signature(cls).parameters
    for name in options if not any(one.kind is one.VAR_KEYWORD for one in known.values()) else ():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.0)
            raise UserError(f'{kind} takes no {name}; did you mean {", ".join(near)}?')
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f'{kind}: {str(error).rstrip(".")}; correct the arguments of the network.') from error


def is_known(kind: object) -> bool:
    """Whether `build` can make a network of this type."""
    return isinstance(kind, str) and (kind in OWN or kind in _registry())


def _class_of(kind: object) -> type[nn.Module]:
    if isinstance(kind, str) and kind in OWN:
        return OWN[kind]
    registry = _registry()
    if isinstance(kind, str) and kind in registry:
        return registry.get(kind)
    known = sorted({*OWN, *registry.keys()})
    near = difflib.get_close_matches(str(kind), known, n=1, cutoff=0.0)[0]
    raise UserError(f'No network is called {kind!r}; did you mean {near}?')


def _registry() -> Registry:
    # fills it
    import basicsr.archs  # noqa: F401
    from basicsr.utils.registry import ARCH_REGISTRY

    return ARCH_REGISTRY
