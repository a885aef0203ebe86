"""What GSMModel and its bases in BasicSR read from an option file, and the checks of what is GSMModel's own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gsm_plugin.compat import UserError
from gsm_plugin.inference.handling import TILE_OVERLAP, Handling
from gsm_plugin.inference.precision import HALF, PRECISIONS, why_not
from gsm_plugin.inference.tiling import check_tile

MODEL_OPTION_KEYS: dict[str, str] = {
    'name': 'Name of the experiment; part of the names of images that a test saves.',
    'model_type': 'GSMModel, or RecurrentMixPrecisionRTModel as in published option files.',
    'scale': 'Enlargement of the network; tiles are put together by it.',
    'num_gpu': '0 for the CPU; more than one without a launcher splits batches by DataParallel.',
    'find_unused_parameters': 'DistributedDataParallel looks for parameters without gradient, default false.',
    'is_train': 'Whether to train or to test; set by the run.',
    'dist': 'Whether there are several processes; set by the run.',
    'rank': 'Number of this process; set by the run.',
    'world_size': 'Number of processes; set by the run.',
    'network_g': 'The network: type and the arguments of its constructor.',
    'path:pretrain_network_g': 'File of weights to start from, or to test.',
    'path:param_key_g': 'Which weights of that file; default params in training and params_ema in a test.',
    'path:strict_load_g': 'Whether the weights must fit the network exactly (default), or what fits is taken.',
    'path:models': 'Folder of saved networks; set by the run.',
    'path:training_states': 'Folder of saved training states; set by the run.',
    'path:visualization': 'Folder of saved images; set by the run.',
    'train:ema_decay': 'Decay of the exponential moving average of the weights, default 0: no average is kept.',
    'train:precision': 'fp32 (default), tf32 (GPU), or by autocast bf16 (TF32 where 8 bits are too few) or fp16 (GPU).',
    'train:grad_clip_norm': 'Norm that gradients are clipped to, the flow network and the rest apart; default none.',
    'train:accumulate_iter': 'The optimizer steps in every so-manieth iteration, by the mean gradient; default 1.',
    'train:max_skipped_steps': 'Training stops after so many bad steps in a row, which were skipped; default 20.',
    'train:gradient_limit': 'A step whose gradient is above so many times its running median is bad; default 100.',
    'train:flow_limit': 'A step with flows longer than so many times the longer side of the frame is bad; default 2.',
    'train:flow_tolerance': 'A flow network is put back where training makes its flows worse by this; default 0.02.',
    'train:fix_flow': 'The flow network (parameters named spynet) stays as it is before this iteration; default 0.',
    'train:freeze': 'Names of parameters that are not trained, with wildcards, such as spynet.*; default none.',
    'train:flow_lr_mul': 'Learning rate of the flow network relative to the others; left out, a loaded one is kept.',
    'train:optim_g': "The optimizer: type (Adam, AdamW or another one of PyTorch's) and its arguments.",
    'train:scheduler': "The learning rate: type (BasicSR's CosineAnnealingRestartLR, or PyTorch's) and its arguments.",
    'train:pixel_opt': 'The pixel loss: type and its arguments.',
    'train:perceptual_opt': 'The perceptual loss, on single frames: type and its arguments.',
    'logger:print_freq': 'Iterations between two looks at the flows, and at what may die in silence.',
    'val:use_ema': 'Validate with the averaged weights where there are some, default true.',
    'val:precision': 'fp32 (default), tf32, bf16 or fp16: what is validated in, whatever the training is in.',
    'val:tile': 'Frames, height and width of a tile in LQ pixels; left out, clips are taken whole.',
    'val:tile_overlap': 'By how many of each tiles overlap, default [2, 50, 50].',
    'val:smallest_side': 'Shorter sides of LQ frames are continued to so many pixels, default 1; BasicVSR needs 64.',
    'val:multiple_of': 'Sides of LQ frames are continued to the next multiple, default 1; EDVR needs 4.',
    'val:window': 'Frames of a window for networks that give the centre frame alone, such as EDVR; default none.',
    'val:flip_seq': 'Show each clip followed by its reverse and average the two outputs, default false.',
    'val:center_frame_only': 'Score and save the centre frame of each clip alone, default false.',
    'val:flow_worth': 'Score clips also without flows and with wrong ones: what they are worth; default false.',
    'val:suffix': 'Ending of the names of images that a test saves; default the name of the experiment.',
    'val:metrics': 'The metrics, each with a name, its type and its arguments; left out, nothing is scored.',
    'val:metrics:*:better': 'higher (default) or lower, for the best result that the log keeps.',
}


@dataclass(frozen=True)
class TrainOptions:
    """GSMModel's own keys of the section `train`, described in `MODEL_OPTION_KEYS`."""

    precision: str
    grad_clip_norm: float | None
    accumulate_iter: int
    max_skipped_steps: int
    fix_flow: int
    flow_lr_mul: float
    flow_limit: float
    flow_tolerance: float | None
    gradient_limit: float | None
    freeze: Sequence[str]

    @classmethod
    def read(cls, opt: dict) -> 'TrainOptions':
        """Reads and checks them.

        Raises:
            UserError: A value is wrong, or this machine or launcher cannot do it.
        """
        train = opt['train']
        read = cls(
            precision=train.get('precision', 'fp32'),
            grad_clip_norm=train.get('grad_clip_norm'),
            accumulate_iter=_whole(train, 'accumulate_iter', default=1, least=1),
            max_skipped_steps=_whole(train, 'max_skipped_steps', default=20, least=1),
            fix_flow=_whole(train, 'fix_flow', default=0, least=0),
            flow_lr_mul=_flow_lr_mul(opt),
            flow_limit=train.get('flow_limit', 2.0),
            flow_tolerance=train.get('flow_tolerance', 0.02),
            gradient_limit=train.get('gradient_limit', 100.0),
            freeze=train.get('freeze') or (),
        )
        _check_precision('train', read.precision, opt)
        _check_positive(train, 'grad_clip_norm', 'for no clipping')
        _check_positive(train, 'gradient_limit', 'for no limit')
        _check_positive(train, 'flow_tolerance', 'to train the flow network whatever becomes of it')
        if not (_is_number(read.flow_limit) and read.flow_limit > 0):
            raise UserError(f'train: flow_limit is {read.flow_limit!r}; it needs a number above 0.')
        return read


@dataclass(frozen=True)
class ValOptions:
    """GSMModel's own keys of the section `val`, described in `MODEL_OPTION_KEYS`."""

    use_ema: bool
    precision: str
    tile: Sequence[int] | None
    tile_overlap: Sequence[int]
    smallest_side: int
    multiple_of: int
    window: int | None
    flip_seq: bool
    center_frame_only: bool
    flow_worth: bool
    metrics: dict[str, dict]
    suffix: str | None

    @classmethod
    def read(cls, opt: dict) -> 'ValOptions':
        """Reads and checks them; without a section `val` they have their defaults.

        Raises:
            UserError: A value is wrong.
        """
        val = opt.get('val') or {}
        read = cls(
            use_ema=_flag(val, 'use_ema', default=True),
            precision=val.get('precision', 'fp32'),
            tile=val.get('tile'),
            tile_overlap=val.get('tile_overlap', TILE_OVERLAP),
            smallest_side=_whole(val, 'smallest_side', default=1, least=1, section_name='val'),
            multiple_of=_whole(val, 'multiple_of', default=1, least=1, section_name='val'),
            window=_window(val),
            flip_seq=_flag(val, 'flip_seq', default=False),
            center_frame_only=_flag(val, 'center_frame_only', default=False),
            flow_worth=_flag(val, 'flow_worth', default=False),
            metrics=val.get('metrics') or {},
            suffix=val.get('suffix'),
        )
        _check_precision('val', read.precision, opt)
        if (read.smallest_side, read.multiple_of) != (1, 1) and 'scale' not in opt:
            raise UserError('val: smallest_side and multiple_of need scale; set scale at the top of the file.')
        if read.tile is not None:
            _check_tile(read.tile, read, opt)
        elif 'tile_overlap' in val and 'tile' not in val:
            raise UserError(f'val: tile_overlap is {read.tile_overlap!r}, but there is no tile; set val: tile too.')
        return read

    @property
    def handling(self) -> Handling:
        """How clips are shown to the network."""
        shared = ('smallest_side', 'multiple_of', 'window', 'flip_seq', 'tile', 'tile_overlap')
        return Handling(**{name: getattr(self, name) for name in shared})


def check_device(opt: dict) -> None:
    """Refuses a GPU that is not there.

    Raises:
        UserError: `num_gpu` is not 0 on a machine without CUDA.
    """
    if opt['num_gpu'] != 0 and not torch.cuda.is_available():
        raise UserError(f'num_gpu is {opt["num_gpu"]!r}, but PyTorch finds no CUDA device; set num_gpu: 0 for the CPU.')


def _check_tile(tile: Sequence[int], val: ValOptions, opt: dict) -> None:
    if 'scale' not in opt:
        raise UserError('val: tile needs scale, the enlargement of the network; set scale at the top of the file.')
    try:
        check_tile(tile, val.tile_overlap)
    except UserError as error:
        raise UserError(f'val: {error}') from error


def _check_precision(section: str, precision: str, opt: dict) -> None:
    if precision not in PRECISIONS:
        raise UserError(f'{section}: precision is {precision!r}; it must be one of {", ".join(PRECISIONS)}.')
    if precision in ('fp16', 'tf32') and opt['num_gpu'] == 0:
        raise UserError(
            f'{section}: precision is {precision}, which needs a GPU; set bf16 or fp32 on the CPU (num_gpu: 0).'
        )
    if section == 'train' and precision in HALF and opt['num_gpu'] > 1 and not opt['dist']:
        # DataParallel's threads do not inherit the dtype of autocast.
        raise UserError(
            f'train: precision is {precision}, which one process with {opt["num_gpu"]} GPUs cannot do; '
            f'start a process per GPU (torchrun, --launcher pytorch), or set num_gpu: 1.'
        )
    reason = why_not(precision, torch.device('cuda')) if opt['num_gpu'] and torch.cuda.is_available() else None
    if reason is not None:
        raise UserError(f'{section}: precision is {precision}, but {reason}; set fp32 or another one.')


def _whole(section: dict, key: str, default: int, least: int, section_name: str = 'train') -> int:
    value = section.get(key)
    value = default if value is None else value
    if not _is_number(value) or value != value // 1 or value < least:
        raise UserError(f'{section_name}: {key} is {value!r}; it needs a whole number from {least} up.')
    return int(value)


def _flow_lr_mul(opt: dict) -> float:
    """0 where the flow network keeps the weights that it was loaded with: where nothing says that it is trained."""
    train = opt['train']
    value = train.get('flow_lr_mul')
    if value is None:
        has_weights = bool((opt.get('network_g') or {}).get('spynet_path'))
        return 0.0 if has_weights and not train.get('fix_flow') else 1.0
    if not _is_number(value) or not 0 <= value < float('inf'):
        raise UserError(f'train: flow_lr_mul is {value!r}; it needs a number from 0 up.')
    return float(value)


def _check_positive(section: dict, key: str, without: str) -> None:
    value = section.get(key)
    if value is not None and not (_is_number(value) and 0 < value < float('inf')):
        raise UserError(f'train: {key} is {value!r}; it needs a number above 0, or ~ {without}.')


def _window(val: dict) -> int | None:
    window = val.get('window')
    if window is not None and not (type(window) is int and window > 0 and window % 2):
        raise UserError(f'val: window is {window!r}; it needs an odd number of frames, or ~ for networks of clips.')
    return window


def _flag(section: dict, key: str, default: bool) -> bool:
    value = section.get(key, default)
    if not isinstance(value, bool):
        raise UserError(f'val: {key} is {value!r}; it must be true or false.')
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
