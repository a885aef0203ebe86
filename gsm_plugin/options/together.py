"""Refuses options that are right alone and wrong together, before anything is built."""

import os
import re

from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from gsm_plugin.errors import UserError
from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.declared.sections import read_key
from gsm_plugin.options.declared.train_section import Iterations, Train
from gsm_plugin.options.names import find, find_class, is_known
from gsm_plugin.options.reading import look_up
from gsm_plugin.options.signatures import parameters

# In bytes. File systems take 255, of which times in the names of logs and of archived experiments need some.
_LONGEST_NAME = 200

# What networks of BasicSR enlarge by that have no argument for it.
_FIXED_SCALE = {'BasicVSR': 4, 'IconVSR': 4}
_FIXED_UNLESS = {'BasicVSRPlusPlus': (4, 'is_low_res_input', False), 'EDVR': (4, 'hr_in', True)}

# Sets that can be read without ground truth, and how they get one.
_GROUND_TRUTH = {'VideoFoldersDataset': 'set its dataroot_gt', 'SingleImageDataset': 'take type PairedImageDataset'}


def check_together(options: dict) -> None:
    """Refuses options that contradict each other.

    Args:
        options: The option file, whose names, keys and single values are right.

    Raises:
        UserError: The first contradiction, with both values.
    """
    _check_name(options['name'])
    _check_training_parts(options)
    network = options.get('network_g')
    if network is not None:
        _check_scale(options, network)
        _check_windows(options, network)
    _check_data(options)
    _check_set_names(options)
    _check_metrics(options)
    _check_ground_truth(options)
    _check_losses(options.get('train') or {})
    _check_iterations(options.get('train') or {})
    _check_schedule(options.get('train') or {})
    _check_logger(options)


def require_multiple(gt_size: int, scale: int, where: str) -> None:
    """Refuses a crop that is not a whole number of LQ pixels.

    Args:
        gt_size: Side of the GT crop, pixels.
        scale: GT side over LQ side.
        where: What the message puts before the key.

    Raises:
        UserError: It is no multiple.
    """
    if gt_size % scale:
        raise UserError(f'{where}gt_size is {gt_size}, no multiple of scale {scale}; set one.')


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


def _check_data(options: dict) -> None:
    scale = options.get('scale')
    for path, section in data_sections(options):
        is_training = path.split(':')[1] == 'train'
        if is_training and section.get('num_frame') == -1:
            raise UserError(f'{path}:num_frame is -1; it must be a whole number from 1 up.')
        if scale is not None and section.get('gt_size') is not None:
            require_multiple(section['gt_size'], scale, f'{path}:')
        if is_training and section.get('prefetch_mode') == 'cuda' and section.get('pin_memory') is not True:
            raise UserError(f'{path}:prefetch_mode cuda needs pin_memory: true; set it.')


def _check_metrics(options: dict) -> None:
    """Metrics of BasicSR, which takes some for tensors alone and raises when the first frame is scored."""
    for name, section in ((options.get('val') or {}).get('metrics') or {}).items():
        where, kind = f'val:metrics:{name}', section['type']
        if not find(METRIC_REGISTRY, kind).__module__.startswith('basicsr.'):
            continue
        if kind.endswith('_pt'):
            raise UserError(
                f'{where}:type is {kind}, which takes tensors, but images are scored; set {kind.removesuffix("_pt")}.'
            )
        if section.get('input_order', 'HWC') != 'HWC':
            raise UserError(
                f'{where}:input_order is {section["input_order"]!r}, but frames are scored as HWC; leave it out.'
            )


def _check_ground_truth(options: dict) -> None:
    """Validation sets of a training that nothing would come of: not scored, and no picture made of them."""
    metrics = (options.get('val') or {}).get('metrics')
    sets = {key: section for key, section in options['datasets'].items() if key.startswith('val')}
    without = [
        key for key, section in sets.items() if section['type'] in _GROUND_TRUTH and not section.get('dataroot_gt')
    ]
    if not (metrics and without):
        return
    shown = look_up(options, 'val:save_img') or look_up(options, 'logger:sample_pictures')
    if shown and len(without) < len(sets):
        return
    others = 'take the set out, or set val:save_img: true to see it' if len(without) < len(sets) else 'take them out'
    raise UserError(
        f'datasets:{without[0]} has no ground truth, which val:metrics ({", ".join(metrics)}) needs; '
        f'{_GROUND_TRUTH[sets[without[0]]["type"]]}, or {others}.'
    )


def _check_losses(train: dict) -> None:
    for key, section in train.items():
        if not key.endswith('_opt') or not isinstance(section, dict) or not is_known(LOSS_REGISTRY, section['type']):
            continue
        reduction = section.get('reduction', 'mean')
        is_host = find(LOSS_REGISTRY, section['type']).__module__.startswith('basicsr.')
        if is_host and reduction not in ('mean', 'sum'):
            raise UserError(
                f'train:{key}:reduction is {reduction!r}; set mean or sum, since a training follows one number.'
            )


def _check_set_names(options: dict) -> None:
    """Two sets of one name would share a line of the results and a folder of images."""
    seen: dict[str, str] = {}
    for key, section in options['datasets'].items():
        if key == 'train':
            continue
        if section['name'] in seen:
            raise UserError(
                f'datasets:{seen[section["name"]]} and datasets:{key} are both called {section["name"]}; give them '
                f'names of their own, since results are kept by name.'
            )
        seen[section['name']] = key


def _check_name(name: str) -> None:
    if not re.fullmatch(r'\w[^/\\]*', name):
        raise UserError(
            f'name is {name!r}; it becomes the name of a folder: begin with a letter, a digit or _, without slashes.'
        )
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise UserError(f'name is {name!r}, too long for the name of a folder; shorten it.')


def _check_training_parts(options: dict) -> None:
    if not issubclass(find_class(MODEL_REGISTRY, options['model_type']), SRModel):
        return
    if 'network_g' not in options:
        raise UserError('The section network_g is missing; give it the type of a network and its arguments.')
    train = options.get('train')
    if train is None:
        return
    for key in ('optim_g', 'scheduler'):
        if not train.get(key):
            raise UserError(f'train:{key} is missing; give it a type and its arguments.')
    if not (train.get('pixel_opt') or train.get('perceptual_opt')):
        raise UserError('train has neither pixel_opt nor perceptual_opt; a training needs a loss.')


def _check_iterations(train: dict) -> None:
    total = train.get('total_iter')
    every = read_key(Train, 'accumulate_iter', train, 'train:')
    warmup = read_key(Iterations, 'warmup_iter', train, 'train:')
    if total is not None and every > total:
        raise UserError(
            f'train:accumulate_iter is {every}, but train:total_iter is {total}, so no step would be taken; lower it.'
        )
    if total is not None and warmup > total:
        raise UserError(
            f'train:warmup_iter is {warmup}, but train:total_iter is {total}, so the learning rate would never reach '
            f'that of the optimizer; lower warmup_iter (-1 is none).'
        )


def _check_schedule(train: dict) -> None:
    scheduler = train.get('scheduler') or {}
    total = train.get('total_iter', 0)
    least, rate = scheduler.get('eta_min'), (train.get('optim_g') or {}).get('lr')
    if least is not None and rate is not None and least > rate:
        raise UserError(
            f'train:scheduler:eta_min is {least}, but train:optim_g:lr is {rate}, so the rate would rise; lower '
            f'eta_min.'
        )
    if scheduler.get('type') == 'CosineAnnealingRestartLR' and isinstance(scheduler.get('periods'), list):
        _check_as_many('restart_weights', 'periods', scheduler)
        _check_lengths(scheduler['periods'], total)
    if scheduler.get('type') == 'OneCycleLR':
        steps = scheduler.get('total_steps') or scheduler.get('epochs', 0) * scheduler.get('steps_per_epoch', 0)
        if 0 < steps < total:
            raise UserError(
                f'train:scheduler: OneCycleLR ends after {steps} steps, before the {total} of train:total_iter; set '
                f'total_steps: {total}.'
            )
    if scheduler.get('type') in ('MultiStepLR', 'MultiStepRestartLR') and isinstance(scheduler.get('restarts'), list):
        _check_as_many('restart_weights', 'restarts', scheduler)


def _check_as_many(weights: str, parts: str, scheduler: dict) -> None:
    if len(scheduler[parts]) != len(scheduler.get(weights, [1])):
        raise UserError(f'train:scheduler has not as many {weights} as {parts}; give one weight for each of them.')


def _check_lengths(periods: list, total: float) -> None:
    if not all(period > 0 for period in periods):
        raise UserError(f'train:scheduler:periods is {periods}; each period needs an iteration at least.')
    if sum(periods) < total:
        raise UserError(
            f'train:scheduler:periods add up to {sum(periods)}, less than the {total} of train:total_iter; lengthen '
            f'them, or shorten the training.'
        )


def _check_logger(options: dict) -> None:
    logger, metrics = options.get('logger') or {}, (options.get('val') or {}).get('metrics') or {}
    if look_up(logger, 'wandb:project') is not None and logger.get('use_tb_logger') is not True:
        raise UserError('logger:wandb needs use_tb_logger: true beside it; set it, or take wandb out.')
    best = logger.get('save_best')
    if best is not None and best not in metrics:
        known = f'one of {", ".join(metrics)}' if metrics else 'a metric, and add it to val:metrics'
        raise UserError(f'logger:save_best is {best!r}, which val:metrics does not have; set {known}.')
    if best is not None and not any(key.startswith('val') for key in options['datasets']):
        raise UserError('logger:save_best needs a validation set; add datasets:val, or take save_best out.')
