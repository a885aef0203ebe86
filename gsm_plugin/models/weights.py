"""Reads weights in whichever of the usual layouts they come, safely, and says what of them a network took."""

import os
from collections.abc import Mapping, Sequence

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from gsm_plugin.compat import UserError
from gsm_plugin.compat.weight_names import to_basicsr_names
from gsm_plugin.models.fitting import Fit, fit_weights, group_names

KNOWN_KEYS = ('params', 'params_ema', 'state_dict')
"""Where files keep weights: BasicSR's two, and that of Lightning and mmagic."""

_GENERATOR = 'generator.'


def load_weights(network: nn.Module, path: str, strict: bool = True, key: str | None = 'params') -> None:
    """Loads weights into a network, and logs what was taken, what was made new and what was left in the file.

    Args:
        network: The network itself, not wrapped.
        path: A file that `torch.save` wrote: a dictionary of tensors, or one that has such dictionaries under
            `params`, `params_ema` or `state_dict`. `module.` before names is passed over; where names begin with
            `generator.`, those are taken; names that mmagic gives are translated.
        strict: Whether names and sizes must be those of the network; otherwise what fits is taken, and tables of
            relative position biases are stretched to the network's windows (see `fit_weights`).
        key: Which dictionary to take; None for the file itself. One that the file does not have is replaced by
            another one of the above, with a warning.

    Raises:
        UserError: There is no such file, it has no weights or cannot be read safely, or they do not fit.
    """
    weights, taken = read_weights(path, key)
    fit = fit_weights(_plain_names(weights, network), network)
    title = type(network).__name__
    if not fit.is_exact and (strict or not fit.weights):
        found = ', '.join(f'{len(names)} {kind} ({_first(names)})' for kind, names in fit.differences())
        cure = 'make network_g the network that they were trained with'
        if fit.weights:
            cure += f', or set path: strict_load_g: false to take the {len(fit.weights)} that fit'
        raise UserError(f'The weights {taken} of {path} do not fit {title}: {found}; {cure}.')
    network.load_state_dict(fit.weights, strict=False)
    own = network.state_dict()
    get_root_logger().info(f'{title} took {len(fit.weights)} of its {len(own)} weights from {path} ({taken}).')
    if not fit.is_exact:
        _list_differences(fit, own, title)


def _list_differences(fit: Fit, own: Mapping[str, Tensor], title: str) -> None:
    """Logs what was taken, in modules, and of the rest each group with its reason."""
    logger = get_root_logger()
    logger.info(f'{title}, taken: {", ".join(group_names(fit.weights.keys() - fit.interpolated.keys(), own))}.')
    for name, sizes in fit.interpolated.items():
        logger.warning(f'{title}, interpolated: {name}: {sizes}.')
    for name, sizes in fit.resized.items():
        logger.warning(f'{title}, made new: {name}: {sizes}.')
    if fit.missing:
        logger.warning(f'{title}, made new, for the file has none: {", ".join(group_names(fit.missing, own))}.')
    if fit.unexpected:
        every = [*own, *fit.unexpected]
        logger.warning(f'{title}, left in the file: {", ".join(group_names(fit.unexpected, every))}.')


def read_weights(path: str, key: str | None) -> tuple[dict[str, Tensor], str]:
    """Reads a file of weights without executing anything in it.

    Args:
        path: The file.
        key: See `load_weights`.

    Returns:
        The weights by name, and a word for where they were.

    Raises:
        UserError: There is no such file, or it has no weights or cannot be read safely.
    """
    content = _load(path)
    if isinstance(content, Mapping):
        if key is not None and _has_weights(content.get(key)):
            return dict(content[key]), key
        if key is None and _has_weights(content):
            return dict(content), 'top level'
        if key is None or key in KNOWN_KEYS:
            return _read_instead(content, path, key)
    keys = list(map(str, content)) if isinstance(content, Mapping) else []
    raise UserError(
        f'{path} has no weights under {key!r}, but {_first(keys) or "no names at all"}; set path: param_key_g to one '
        f'that it has.'
    )


def _read_instead(content: Mapping, path: str, key: str | None) -> tuple[dict[str, Tensor], str]:
    for other in KNOWN_KEYS:
        if _has_weights(content.get(other)):
            taken, weights = other, content[other]
            break
    else:
        if not _has_weights(content):
            raise UserError(
                f'{path} has no weights, neither at its top level nor under {", ".join(KNOWN_KEYS)} '
                f'(it has {_first(list(map(str, content))) or "nothing"}); give a file of weights such as net_g_*.pth.'
            )
        taken, weights = 'top level', content
    get_root_logger().warning(f'{path} has no weights under {key or "its top level"}, so those of {taken} are taken.')
    return dict(weights), taken


def _load(path: str) -> object:
    if not os.path.isfile(path):
        raise UserError(f'The file of weights {path} does not exist; correct path: pretrain_network_g.')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise UserError(
            f'{path} is no file of weights that can be read safely ({type(error).__name__}); get it again, '
            f'or save its tensors alone by torch.save.'
        ) from error


def _has_weights(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(entry, Tensor) for entry in value.values())


def _plain_names(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Names as the network has them, whichever wrappers and whichever framework they were saved in."""
    unwrapped = _unwrapped(weights, network)
    names = to_basicsr_names(unwrapped, set(network.state_dict()))
    return {names[name]: value for name, value in unwrapped.items()}


def _unwrapped(weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    plain = {name.removeprefix('module.'): value for name, value in weights.items()}
    inside = {name.removeprefix(_GENERATOR): value for name, value in plain.items() if name.startswith(_GENERATOR)}
    if not inside or any(name.startswith(_GENERATOR) for name in network.state_dict()):
        return plain
    left = [name for name in plain if not name.startswith(_GENERATOR)]
    if left:
        get_root_logger().info(f'Of the weights, {len(left)} outside {_GENERATOR} are left: {", ".join(left)}.')
    return inside


def _first(names: Sequence[str], count: int = 3) -> str:
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more
