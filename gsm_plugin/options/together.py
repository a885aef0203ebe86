"""Refuses options that are right alone and wrong together, before anything is built."""

from basicsr.utils.registry import ARCH_REGISTRY

from gsm_plugin.compat import UserError
from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.names import find
from gsm_plugin.options.reading import look_up
from gsm_plugin.options.signatures import parameters

# What networks of BasicSR enlarge by that have no argument for it.
_FIXED_SCALE = {'BasicVSR': 4, 'IconVSR': 4}
_FIXED_UNLESS = {'BasicVSRPlusPlus': (4, 'is_low_res_input', False), 'EDVR': (4, 'hr_in', True)}


def check_together(options: dict) -> None:
    """Refuses options that contradict each other.

    Args:
        options: The option file, whose names, keys and single values are right.

    Raises:
        UserError: The first contradiction, with both values.
    """
    network = options.get('network_g')
    if network is not None:
        _check_scale(options, network)
        _check_windows(options, network)
    _check_crop(options)
    _check_set_names(options)
    train = options.get('train') or {}
    every, total = train.get('accumulate_iter') or 1, train.get('total_iter')
    if total is not None and type(every) is int and every > total:
        raise UserError(
            f'train:accumulate_iter is {every}, but train:total_iter is {total}, so no step would be taken; lower it.'
        )
    warmup = train.get('warmup_iter', -1)
    if total is not None and warmup > total:
        raise UserError(
            f'train:warmup_iter is {warmup}, but train:total_iter is {total}, so the learning rate would never reach '
            f'that of the optimizer; lower warmup_iter (-1 is none).'
        )


def enlargement(network: dict) -> tuple[int | None, str]:
    """What a network enlarges by, as far as its section and its constructor tell.

    Args:
        network: The section `network_g`, of a known type.

    Returns:
        The factor, or None, and the words for where it stands.
    """
    cls, kind = find(ARCH_REGISTRY, network['type']), network['type']
    for one in parameters(cls):
        if one.name in ('upscale', 'scale'):
            value = network.get(one.name, one.default)
            where = f'network_g:{one.name} is {value}' + ('' if one.name in network else f' (the default of {kind})')
            return (value, where) if type(value) is int else (None, '')
    factor = _FIXED_SCALE.get(kind)
    if kind in _FIXED_UNLESS:
        factor, key, other = _FIXED_UNLESS[kind]
        factor = 1 if network.get(key, not other) is other else factor
    return factor, f'network_g:type {kind} enlarges by {factor}'


def _check_scale(options: dict, network: dict) -> None:
    factor, where = enlargement(network)
    scale = options.get('scale')
    if scale is not None and factor is not None and factor != scale:
        cure = 'set both to the same' if ' is ' in where else f'set scale: {factor}, or take another network'
        raise UserError(f'scale is {scale}, but {where}; {cure}.')


def _check_windows(options: dict, network: dict) -> None:
    """The frames that networks of windows see at once, against those that they are shown."""
    cls, window = find(ARCH_REGISTRY, network['type']), look_up(options, 'val:window')
    sees = {one.name: network.get(one.name, one.default) for one in parameters(cls)}.get('num_frame')
    if not cls.__module__.startswith(('basicsr.', 'gsm_plugin.')):
        return
    if sees is None and window is not None:
        raise UserError(
            f'val:window is {window}, but {network["type"]} takes whole clips; leave it out, since it is for networks '
            f'that take num_frame frames and give the centre one, such as EDVR.'
        )
    shown = {f'{path}:num_frame': section.get('num_frame') for path, section in data_sections(options)}
    for path, frames in {**shown, 'val:window': window}.items():
        if None not in (sees, frames) and frames not in (-1, sees):
            raise UserError(f'{path} is {frames}, but network_g:num_frame is {sees}; set both to the same.')


def _check_crop(options: dict) -> None:
    scale = options.get('scale')
    for path, section in data_sections(options):
        size = section.get('gt_size')
        if size is not None and scale is not None and size % scale:
            raise UserError(f'{path}:gt_size is {size}, no multiple of scale {scale}; set one.')


def _check_set_names(options: dict) -> None:
    """Two sets of one name would share a line of the results and a folder of images."""
    seen = {}
    for key, section in options['datasets'].items():
        if key == 'train':
            continue
        if section['name'] in seen:
            raise UserError(
                f'datasets:{seen[section["name"]]} and datasets:{key} are both called {section["name"]}; give them '
                f'names of their own, since results are kept by name.'
            )
        seen[section['name']] = key
