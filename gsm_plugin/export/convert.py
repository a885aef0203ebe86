"""Files of weights from one format to the other, with what other programs need to know about them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.files import check_place, whole_file
from gsm_plugin.inference.loading import Loaded, load_network
from gsm_plugin.weights.content_hash import HASH, hash_of
from gsm_plugin.weights.doors import COMMAND
from gsm_plugin.weights.finding import FOLDER, find_file
from gsm_plugin.weights.loading import fit_file
from gsm_plugin.weights.settings_buffer import ASSUMED, NAME, settings_buffer

SUFFIXES = ('.safetensors', '.pth')


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        path: The file.
        facts: Sentences about it.
    """

    path: Path
    facts: Sequence[str]


def convert(
    name_or_path: str | Path,
    out: Path,
    network: Mapping[str, object],
    trained_on: str | None = None,
    half: bool = False,
) -> Converted:
    """Writes weights of any layout as safetensors, or as BasicSR's .pth, under BasicSR's names.

    They are first loaded into their network, so that a file that is written is one that fits. It gets `network_g`,
    `scale`, `trained_on` and a hash as metadata; one of GSM also the settings that no shape tells as a buffer, for
    programs that read nothing but the weights.

    Args:
        name_or_path: A file, or a name of `basicsr weights list`.
        out: The file to write, .safetensors or .pth.
        network: See `load_network`.
        trained_on: Training set and degradation; None for what is known of the file.
        half: Whether weights are rounded to float16, which halves the file; networks compute as before.

    Raises:
        UserError: The ending of `out` is another one or there is such a file, weights cannot be read or do not fit, or
            some are too large for float16.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f'{out} ends with {out.suffix!r}; name a file that ends with .safetensors or .pth.')
    check_place(out)
    loaded = load_network(name_or_path, network, torch.device('cpu'), door=COMMAND)
    # of the types that they have in the file
    path = find_file(name_or_path, FOLDER)[1]
    fit = fit_file(loaded.network, path, loaded.taken)[1]
    tensors = {name: value.contiguous().clone() for name, value in fit.weights.items()}
    if half:
        tensors = {name: _halved(value, name, path) for name, value in tensors.items()}
    trained_on = loaded.trained_on if trained_on is None else trained_on
    metadata = {**metadata_of(loaded, trained_on), HASH: hash_of(tensors)}
    if loaded.options['type'] == 'GSMamba':
        tensors[NAME] = settings_buffer(_settings(loaded))
    with whole_file(out) as part:
        if out.suffix == '.safetensors':
            # whose own way to write a file leaves it to its owner alone
            part.write_bytes(save(tensors, metadata={'format': 'pt', **metadata}))
        else:
            torch.save({'params': tensors, 'metadata': metadata}, part)
    return Converted(out, (*loaded.facts, f'trained on: {trained_on or "not known; say it by --trained-on"}'))


def _halved(value: Tensor, name: str, path: Path) -> Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    if torch.isinf(half).any():
        raise UserError(f'{name} of {path} has values up to {value.abs().max():.3g}, which float16 cannot hold.')
    return half


def metadata_of(loaded: Loaded, trained_on: str) -> dict[str, str]:
    """What a file says about its network: options, enlargement, training."""
    return {
        'network_g': json.dumps(dict(loaded.options)),
        'scale': str(loaded.scale),
        **({'trained_on': trained_on} if trained_on else {}),
    }


def _settings(loaded: Loaded) -> dict[str, object]:
    return {key: loaded.options[key] for key in ASSUMED if key in loaded.options}
