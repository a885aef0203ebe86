"""A hash of weights that is the same in every kind of file, since safetensors files have no checksums."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gsm_plugin.errors import UserError

HASH = 'weights_sha256'
"""Where the hash is in the metadata."""


def hash_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, sizes and values, in the order of the names: the same in every kind of file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(value.dtype).removeprefix('torch.'), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Refuses weights that are not those that the hash was made of; without a hash, nothing is checked.

    Raises:
        UserError: The hash is another one.
    """
    said = metadata.get(HASH)
    if said is not None and said != hash_of(tensors):
        raise UserError(
            f'{path} has weights that are not those that its {HASH} {said[:8]} was made of; get it again, whole.'
        )
