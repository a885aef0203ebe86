"""Backends of ops that arguments of networks name."""

from collections.abc import Mapping
from typing import Any

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.ops.dispatch import choose_backend

# All ops that listen to a key have backends of the same names.
_OPS = {'scan_backend': 'bidirectional_scan', 'warp_backend': 'flow_warp', 'attention_backend': 'window_attention'}


def check_backends(network_g: Mapping[str, Any], device: torch.device | str, where: str) -> None:
    """Refuses backends that cannot run on a device.

    Args:
        network_g: Arguments of one of this package's networks, which were accepted.
        device: Where it is to run.
        where: What stands before the name of an argument in messages.

    Raises:
        UserError: There is one.
    """
    for name in network_g.keys() & _OPS.keys():
        try:
            if network_g[name] != 'auto':
                choose_backend(_OPS[name], network_g[name], device)
        except RuntimeError as error:
            raise UserError(f'{where}{name}: {error}') from error
