"""How GSMModel reads its options, and the checks that a single value does not allow: of devices, and of two keys."""

from collections.abc import Sequence

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.devices import why_not
from gsm_plugin.inference.handling import Handling
from gsm_plugin.inference.tiling import check_tile
from gsm_plugin.layers.precision import HALF, policy_for
from gsm_plugin.options.declared.train_section import Train
from gsm_plugin.options.declared.val_section import Val


def read_train(opt: dict) -> Train:
    """Reads and checks GSMModel's keys of the section `train`.

    Raises:
        UserError: A value is wrong, or this machine or launcher cannot do it.
    """
    train = Train.read(opt['train'], 'train:')
    _check_precision('train', train, opt)
    return train


def flow_lr_mul(opt: dict, train: Train) -> float:
    """The learning rate of the flow network relative to the others.

    It is 0 where the flow network keeps the weights that it was loaded with: where nothing says that it is trained.
    """
    if train.flow_lr_mul is not None:
        return train.flow_lr_mul
    has_weights = bool((opt.get('network_g') or {}).get('spynet_path'))
    return 0.0 if has_weights and not train.fix_flow else 1.0


def read_val(opt: dict) -> Val:
    """Reads and checks GSMModel's keys of the section `val`; without one they have their defaults.

    Raises:
        UserError: A value is wrong.
    """
    section = opt.get('val') or {}
    val = Val.read(section, 'val:')
    _check_precision('val', val, opt)
    if (val.smallest_side, val.multiple_of) != (1, 1) and 'scale' not in opt:
        raise UserError('val: smallest_side and multiple_of need scale; set scale at the top of the file.')
    if val.tile is not None:
        _check_tile(val.tile, val, opt)
    elif 'tile_overlap' in section and 'tile' not in section:
        raise UserError(f'val:tile_overlap is {list(val.tile_overlap)}, but there is no tile; set val:tile too.')
    return val


def handling_of(val: Val) -> Handling:
    """How clips are shown to the network."""
    shared = ('smallest_side', 'multiple_of', 'window', 'flip_seq', 'tile', 'tile_overlap')
    return Handling(**{name: getattr(val, name) for name in shared})


def check_device(opt: dict) -> None:
    """Refuses a GPU that is not there.

    Raises:
        UserError: `num_gpu` is not 0 on a machine without CUDA.
    """
    if opt['num_gpu'] != 0 and not torch.cuda.is_available():
        raise UserError(f'num_gpu is {opt["num_gpu"]!r}, but PyTorch finds no CUDA device; set num_gpu: 0 for the CPU.')


def _check_tile(tile: Sequence[int], val: Val, opt: dict) -> None:
    if 'scale' not in opt:
        raise UserError('val:tile needs scale, the enlargement of the network; set scale at the top of the file.')
    try:
        check_tile(tile, val.tile_overlap)
    except UserError as error:
        raise UserError(f'val:{error}') from error


def _check_precision(section: str, options: Train | Val, opt: dict) -> None:
    precision = options.precision
    try:
        policy_for('training' if section == 'train' else 'inference', precision, options.plain_autocast)
    except UserError as error:
        raise UserError(f'{section}:{error}') from error
    if precision in ('fp16', 'tf32') and opt['num_gpu'] == 0:
        raise UserError(
            f'{section}:precision is {precision}, which needs a GPU; set bf16 or fp32 on the CPU (num_gpu: 0).'
        )
    if section == 'train' and precision in HALF and opt['num_gpu'] > 1 and not opt['dist']:
        # DataParallel's threads do not inherit the dtype of autocast.
        raise UserError(
            f'train:precision is {precision}, which one process with {opt["num_gpu"]} GPUs cannot do; '
            f'start a process per GPU (torchrun, --launcher pytorch), or set num_gpu: 1.'
        )
    reason = why_not(precision, torch.device('cuda')) if opt['num_gpu'] and torch.cuda.is_available() else None
    if reason is not None:
        raise UserError(f'{section}:precision is {precision}, but {reason}; set fp32 or another one.')
