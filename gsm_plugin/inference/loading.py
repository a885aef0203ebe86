"""From a name or a file of weights to a network that is ready to run."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gsm_plugin.archs.backends import check_backends
from gsm_plugin.archs.building import OWN, build, is_known
from gsm_plugin.errors import UserError
from gsm_plugin.inference.handling import Handling, handling_of
from gsm_plugin.weights.doors import PYTHON, Door
from gsm_plugin.weights.finding import FOLDER, find_file
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS
from gsm_plugin.weights.loading import load_weights
from gsm_plugin.weights.reader import TOP_LEVEL, Weights, read_weights
from gsm_plugin.weights.recognition import Recognised, recognise
from gsm_plugin.weights.self_description import options_in

_logger = logging.getLogger('basicsr.gsm_plugin')


@dataclass(frozen=True)
class Loaded:
    """A network with its weights.

    Attributes:
        network: On the device, in evaluation mode, without gradients.
        scale: Its enlargement.
        handling: How it has to be shown clips.
        name: The name of its file.
        facts: Sentences about it.
        options: Section `network_g` of an option file, with which it was made.
        taken: Which weights of the file; a key for `read_weights`.
        trained_on: Training set and degradation; empty where nothing tells them.
    """

    network: nn.Module
    scale: int
    handling: Handling
    name: str
    facts: tuple[str, ...]
    options: Mapping[str, Any]
    taken: str | None
    trained_on: str


def load_network(
    name_or_path: str | Path | None,
    overrides: Mapping[str, object],
    device: torch.device,
    folder: str | Path | None = None,
    door: Door = PYTHON,
    cuda_graphs: bool = True,
) -> Loaded:
    """Makes the network that a file of weights is of, and loads them.

    Args:
        name_or_path: A file, or a name of `basicsr weights list`; None for a network without weights.
        overrides: Arguments of the network that the file cannot tell, or that are to differ; with `type`, any network.
        device: Where it is put.
        folder: Where the files of names lie; None for `FOLDER`.
        door: How overrides were named, for messages.
        cuda_graphs: Whether GSM is captured on a GPU, where overrides do not say.

    Raises:
        UserError: There is no such name or file, the weights are of no known network, or they do not fit,
            or a named backend cannot run there.
    """
    if name_or_path is None:
        return _without_weights(dict(overrides), device)
    name, path = find_file(name_or_path, FOLDER if folder is None else Path(folder))
    weights = read_weights(path, 'params_ema')
    recognised = _recognise(weights, overrides, path, door)
    network_g = {**recognised.options, **recognised.assumed}
    network = build(_with_graphs(network_g, device) if cuda_graphs else network_g)
    if network_g['type'] in OWN:
        check_backends(network_g, device, f'{network_g["type"]}: ')
    # the same place of the file, of which nothing is to be said again
    taken = None if weights.taken == TOP_LEVEL else weights.taken
    load_weights(network, path, key=taken, door=door)
    network.eval().requires_grad_(False).to(device)
    handling = handling_of(network_g)
    facts = [f'weights: {path} ({weights.taken})', f'network: {_in_words(network_g)}']
    if recognised.assumed:
        facts.append(f'taken for granted, since the file does not tell: {_in_words(recognised.assumed)}')
        _logger.warning(
            f'{path} does not tell {_in_words(recognised.assumed)}: these are the published values; name others by '
            f'{door.arguments}.'
        )
    scale, training = _scale_of(network, network_g, handling, device), trained_on(path, weights.metadata)
    _check_scale(scale, weights.metadata, path)
    return Loaded(network, scale, handling, name, tuple(facts), network_g, taken, training)


def _without_weights(network_g: dict, device: torch.device) -> Loaded:
    """A network that has none, such as the bicubic one."""
    kind = network_g.get('type')
    if kind is None:
        raise UserError("No weights are given; name a file, or network={'type': 'Bicubic'}, which needs none.")
    network = build(network_g).eval().to(device)
    if any(True for _ in network.parameters()):
        raise UserError(f'{kind} needs weights; give the file that has them.')
    handling, facts = handling_of(network_g), (f'network: {_in_words(network_g)}',)
    scale = _scale_of(network, network_g, handling, device)
    return Loaded(network, scale, handling, kind, facts, network_g, None, '')


def trained_on(path: Path, metadata: Mapping[str, str]) -> str:
    """What weights were trained on: as their file says, or as is known by its name; empty where neither tells."""
    known = (one.trained_on for one in KNOWN_WEIGHTS.values() if Path(one.file).name == path.name)
    return metadata.get('trained_on') or next(known, '')


def _check_scale(scale: int, metadata: Mapping[str, str], path: Path) -> None:
    if metadata.get('scale', str(scale)) != str(scale):
        raise UserError(
            f'{path} says scale: {metadata["scale"]}, but its network enlarges {scale} times; get it again.'
        )


def _recognise(weights: Weights, overrides: Mapping[str, object], path: Path, door: Door) -> Recognised:
    """What shapes, the file's own words and the user say, the latter first."""
    own = options_in(weights.metadata)
    said = own.get('type')
    if 'type' in overrides and said not in (None, overrides['type']):
        # words about another network than the one that is wanted
        own, said = {}, None
    told = {**own, **overrides}
    if said is not None and not is_known(said):
        raise UserError(
            f'{path} says that its network is {said!r}, which nothing has registered; import the module that does, '
            f'or name another type by {door.arguments}.'
        )
    try:
        found = recognise(weights.tensors, door)
    except UserError as error:
        if 'type' in told:
            return Recognised(told)
        raise UserError(f'{path}: {error}') from error
    if told.get('type', found.options['type']) != found.options['type']:
        return Recognised(told)
    for key, value in own.items():
        if key in found.options and found.options[key] != value:
            raise UserError(
                f'{path} says {key}: {value}, but its shapes are of {found.options[key]}; get the file again.'
            )
    return Recognised(
        {**found.options, **told}, {key: value for key, value in found.assumed.items() if key not in told}
    )


def _with_graphs(network_g: dict, device: torch.device) -> dict:
    """Ours waits for launches on a GPU, unless CUDA graphs spare them."""
    if network_g.get('type') != 'GSMamba' or device.type != 'cuda':
        return network_g
    return {'cuda_graphs': True, **network_g}


def _scale_of(network: nn.Module, network_g: dict, handling: Handling, device: torch.device) -> int:
    """The enlargement: what the network says, else what it makes of a small clip."""
    if network_g.get('type') in ('BasicVSR', 'IconVSR', 'BasicVSRPlusPlus', 'EDVR'):
        return 4 if network_g.get('is_low_res_input', True) and not network_g.get('hr_in') else 1
    said = getattr(network, 'upscale', getattr(network, 'scale', None))
    if isinstance(said, int):
        return said
    side = max(64, handling.smallest_side)
    clip = torch.zeros(1, max(3, handling.least_frames), 3, side, side, device=device)
    with torch.no_grad():
        # sides are large enough, and nothing is to be cut by a scale that is not known
        output = replace(handling, smallest_side=1, multiple_of=1).around(network, 1)(clip)
    if output.ndim != 5 or output.shape[:3] != clip.shape[:3] or output.shape[-1] % side:
        raise UserError(
            f'{network_g.get("type")} makes {list(output.shape)} of a clip {list(clip.shape)}; give a network that '
            f'makes a clip of as many frames, enlarged by a whole factor.'
        )
    return output.shape[-1] // side


def _in_words(options: Mapping[str, object]) -> str:
    return ', '.join(f'{key} {value}' for key, value in options.items())
