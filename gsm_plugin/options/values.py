"""Checks values that BasicSR would trip over in the middle of a run."""

import os
import re

from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY

from gsm_plugin.compat import UserError
from gsm_plugin.options.names import find
from gsm_plugin.options.reading import look_up

_POSITIVE = {
    'scale': int,
    'train:total_iter': float,
    'logger:print_freq': float,
    'logger:save_checkpoint_freq': float,
    'val:val_freq': float,
    'datasets:train:batch_size_per_gpu': int,
    'datasets:train:dataset_enlarge_ratio': float,
}
# In bytes. File systems take 255, of which times in the names of logs and of archived experiments need some.
_LONGEST_NAME = 200
_PREFETCH = (None, 'cpu', 'cuda')
_ON_BAD_SAMPLE = ('raise', 'skip')


def check_values(options: dict) -> None:
    """Refuses values that would stop the run in its middle, or take it to a wrong place.

    Args:
        options: The option file, with all required sections and known names.

    Raises:
        UserError: The first such value.
    """
    if not re.fullmatch(r'\w[^/\\]*', str(options['name'])):
        raise UserError(f'name is {options["name"]!r}; it becomes the name of a folder, without slashes.')
    if len(os.fsencode(str(options['name']))) > _LONGEST_NAME:
        raise UserError(f'name is {options["name"]!r}, too long for the name of a folder; shorten it.')
    for path, kind in _POSITIVE.items():
        value = look_up(options, path)
        if value is not None and not (_is_number(value, kind) and value > 0):
            raise UserError(f'{path} is {value!r}; it must be a {"whole " if kind is int else ""}number above 0.')
    workers = look_up(options, 'datasets:train:num_worker_per_gpu')
    if workers is not None and (not _is_number(workers, int) or workers < 0):
        raise UserError(f'datasets:train:num_worker_per_gpu is {workers!r}; it must be a whole number, 0 or more.')
    for key, section in options['datasets'].items():
        if section.get('prefetch_mode') not in _PREFETCH:
            raise UserError(f'datasets:{key}:prefetch_mode is {section["prefetch_mode"]!r}; set ~, cpu or cuda.')
        if section.get('on_bad_sample', 'raise') not in _ON_BAD_SAMPLE:
            raise UserError(f'datasets:{key}:on_bad_sample is {section["on_bad_sample"]!r}; set raise or skip.')
        if key == 'train' and section.get('prefetch_mode') == 'cuda' and section.get('pin_memory') is not True:
            raise UserError('datasets:train:prefetch_mode cuda needs pin_memory: true; set it.')
        _check_clip(key, section)
    _check_parts(options)
    _check_schedule(options.get('train') or {})
    if look_up(options, 'logger:wandb:project') is not None and look_up(options, 'logger:use_tb_logger') is not True:
        raise UserError('logger:wandb needs use_tb_logger: true beside it; set it, or take wandb out.')


def _check_clip(key: str, section: dict) -> None:
    # Tests take whole clips where they say -1.
    for name, least in (('num_frame', 1 if key == 'train' else -1), ('gt_size', 1)):
        value = section.get(name, 1)
        if not _is_number(value, int) or value < least:
            raise UserError(f'datasets:{key}:{name} is {value!r}; it must be a whole number from {least} up.')
    intervals = section.get('interval_list', [1])
    if not isinstance(intervals, list) or not intervals or not all(_is_number(i, int) and i > 0 for i in intervals):
        raise UserError(f'datasets:{key}:interval_list is {intervals!r}; it must be a list such as [1].')


def _check_parts(options: dict) -> None:
    if not issubclass(find(MODEL_REGISTRY, options['model_type']), SRModel):
        return
    if 'network_g' not in options:
        raise UserError('The section network_g is missing; give it the type of a network and its arguments.')
    train = options.get('train')
    if train is None:
        return
    decay = train.get('ema_decay', 0)
    if not (_is_number(decay, float) and 0 <= decay < 1):
        raise UserError(f'train:ema_decay is {decay!r}; it must be 0, for no average, or a number below 1.')
    for key in ('optim_g', 'scheduler'):
        if not train.get(key):
            raise UserError(f'train:{key} is missing; give it a type and its arguments.')
    for key, section in train.items():
        if key.startswith('optim_') and section.get('lr') is None:
            raise UserError(f'train:{key} lacks lr, the learning rate; set it.')
    if not (train.get('pixel_opt') or train.get('perceptual_opt')):
        raise UserError('train has neither pixel_opt nor perceptual_opt; a training needs a loss.')


def _check_schedule(train: dict) -> None:
    scheduler = train.get('scheduler') or {}
    total = train.get('total_iter', 0)
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


def _is_number(value: object, kind: type) -> bool:
    return not isinstance(value, bool) and isinstance(value, int if kind is int else int | float)
