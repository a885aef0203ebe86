"""Loads weights into a network, and says what of them it took."""

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from gsm_plugin.errors import UserError
from gsm_plugin.weights.doors import OPTION_FILE, Door
from gsm_plugin.weights.finite import check_values
from gsm_plugin.weights.known_files import cure_for_weights_of_another
from gsm_plugin.weights.network_fit import Fit, fit_weights, group_names
from gsm_plugin.weights.parameter_names import match_names
from gsm_plugin.weights.reader import Weights, first, read_weights
from gsm_plugin.weights.recognition import recognise

# BasicSR's, whose files and levels hold for the whole run.
_LOGGER = 'basicsr'


def load_weights(
    network: nn.Module,
    path: str | Path,
    strict: bool = True,
    key: str | None = 'params',
    door: Door = OPTION_FILE,
) -> None:
    """Loads weights into a network, and logs what was taken, what was made new and what was left in the file.

    Args:
        network: The network itself, not wrapped.
        path: A file of weights; see `read_weights`. What wrappers put before or into names is left out; names that
            mmagic gives are translated (see `match_names`).
        strict: Whether names and sizes must be those of the network; otherwise what fits is taken, and tables of
            relative position biases are stretched to the network's windows (see `fit_weights`).
        key: Which weights of the file to take; see `read_weights`.
        door: How the network was named, for messages.

    Raises:
        UserError: There is no such file, it has no weights or cannot be read safely, they do not fit, or values are not
            finite.
    """
    weights, fit = fit_file(network, path, key)
    title = type(network).__name__
    if not fit.is_exact and (strict or not fit.weights):
        raise UserError(
            f'The weights {weights.taken} of {path} do not fit {title}: {_why_not(weights, fit, title, door)}.'
        )
    own = network.state_dict()
    check_values(fit.weights, own, path)
    network.load_state_dict(fit.weights, strict=False)
    logger = logging.getLogger(_LOGGER)
    logger.info(f'{title} took {len(fit.weights)} of its {len(own)} weights from {path} ({weights.taken}).')
    if not fit.is_exact:
        _list_differences(fit, own, title)


def fit_file(network: nn.Module, path: str | Path, key: str | None = 'params') -> tuple[Weights, Fit]:
    """Reads weights and compares them with a network, which is not changed; logs what was chosen or left on the way.

    Raises:
        UserError: There is no such file, or it has no weights or cannot be read safely.
    """
    weights = read_weights(path, key)
    match = match_names(weights.tensors, network.state_dict().keys(), averaged='ema' in (key or ''))
    logger = logging.getLogger(_LOGGER)
    for note in weights.notes:
        logger.warning(note)
    if match.prefix:
        logger.info(f'Of the names in {path}, {match.prefix} is left out before those of the network.')
    if match.left:
        logger.info(f'Of the weights, {len(match.left)} outside {match.prefix} are left: {first(match.left)}.')
    return weights, fit_weights({match.names[name]: weights.tensors[name] for name in match.names}, network)


def _why_not(weights: Weights, fit: Fit, title: str, door: Door) -> str:
    """What differs, and the cure; of another network its name is enough."""
    found = ', '.join(f'{len(names)} {kind} ({first(names)})' for kind, names in fit.differences())
    cure = door.as_trained
    try:
        network = recognise(weights.tensors).options['type']
    except UserError:
        network = title
    if other := cure_for_weights_of_another(network, title, door):
        found, cure = f'they are those of {network}', other
    if fit.weights and door.takes_parts:
        cure += f', or {door.takes_parts} to take the {len(fit.weights)} that fit'
    return f'{found}; {cure}'


def _list_differences(fit: Fit, own: Mapping[str, Tensor], title: str) -> None:
    """Logs what was taken, in modules, and of the rest each group with its reason."""
    logger = logging.getLogger(_LOGGER)
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
