"""Chooses the check of each data set in an option file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

from basicsr.utils import logger as basicsr_logger
from basicsr.utils.registry import DATASET_REGISTRY

from gsm_plugin.data.checks import gt_images, paired_images, reds, video_test_sets, vimeo
from gsm_plugin.data.checks.held_out import check_held_out
from gsm_plugin.data.checks.scored_borders import check_borders
from gsm_plugin.errors import UserError
from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.names import find

_CHECKS = {
    'REDSDataset': reds.check,
    'REDSRecurrentDataset': reds.check_recurrent,
    'Vimeo90KDataset': vimeo.check,
    'Vimeo90KRecurrentDataset': vimeo.check,
    'VideoTestDataset': video_test_sets.check,
    'VideoTestDUFDataset': video_test_sets.check,
    'VideoRecurrentTestDataset': video_test_sets.check_recurrent,
    'VideoTestVimeo90KDataset': video_test_sets.check_vimeo,
    'PairedImageDataset': paired_images.check,
    'RealESRGANPairedDataset': paired_images.check,
    'SingleImageDataset': paired_images.check_single,
    'FFHQDataset': gt_images.check_ffhq,
    'RealESRGANDataset': gt_images.check_realesrgan,
}
_FOLDERS_ALONE = ('VideoTestDataset', 'VideoTestDUFDataset', 'VideoRecurrentTestDataset', 'VideoTestVimeo90KDataset')

# What these read only when the first item is asked for, so that they can be built without it.
_CROPS = ('gt_size', 'use_hflip', 'use_rot')
_NEEDED = {
    'REDSDataset': ('dataroot_flow', *_CROPS),
    'REDSRecurrentDataset': _CROPS,
    'Vimeo90KDataset': ('num_frame', 'random_reverse', *_CROPS),
    'Vimeo90KRecurrentDataset': ('num_frame', 'random_reverse', 'flip_sequence', *_CROPS),
    'VideoTestDataset': ('num_frame', 'padding'),
    'VideoTestDUFDataset': ('num_frame', 'padding', 'use_duf_downsampling'),
    'VideoRecurrentTestDataset': ('num_frame',),
    'FFHQDataset': ('use_hflip',),
    'RealESRGANDataset': ('use_hflip', 'use_rot'),
}


def check_datasets(options: dict) -> None:
    """Checks all data sets of an option file on disk.

    Args:
        options: The options of a run; the names in them are known and the paths exist.

    Raises:
        UserError: A data set lacks an option, LQ and GT disagree, a clip is trained and validated on, or a metric cuts
            away whole frames; the text names the place and the cure.
    """
    for where, section in data_sections(options):
        with _as_user_error(where):
            _refuse_lmdb_as_folder(section)
    for key, section in options['datasets'].items():
        cls = find(DATASET_REGISTRY, section['type'])
        owner = cls.__module__.split('.')[0]
        with _as_user_error(f'datasets:{key}'):
            if owner == 'gsm_plugin':
                with _log_untouched():
                    dataset = cls(deepcopy(section))
                if section['phase'] != 'train' and hasattr(dataset, 'check_frames'):
                    dataset.check_frames()
            elif owner == 'basicsr' and section['type'] in _CHECKS:
                _check_needed(section)
                _CHECKS[section['type']](section)
    check_held_out(options['datasets'])
    check_borders(options)


def _refuse_lmdb_as_folder(section: dict) -> None:
    """Names what is missing where a dataroot is an LMDB; as a folder of clips it only seems to lack the first one."""
    if (section.get('io_backend') or {}).get('type', 'disk') == 'lmdb':
        return
    for key in ('dataroot_lq', 'dataroot_gt'):
        if section.get(key) and (Path(section[key]).expanduser() / 'data.mdb').is_file():
            cure = 'name a folder of clips' if section['type'] in _FOLDERS_ALONE else 'set io_backend type: lmdb'
            raise UserError(f'{key} is {section[key]}, an LMDB, but io_backend type is disk; {cure}.')


def _check_needed(section: dict) -> None:
    needed = _NEEDED.get(section['type'], _CROPS if section['phase'] == 'train' else ())
    for key in needed:
        if key not in section:
            raise KeyError(key)
    for key in ('dataroot_lq', 'dataroot_gt', 'io_backend'):
        if key in section and section[key] is None:
            raise KeyError(key)


@contextmanager
def _as_user_error(where: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise UserError(f'{where} lacks {error.args[0]}, which its type needs.') from error
    except OSError as error:
        if error.filename is None:
            raise UserError(f'{where}: {error}') from error
        raise UserError(
            f'{where}: {error.filename} cannot be read ({error.strerror}); correct the path or its permissions.'
        ) from error
    except (ValueError, AssertionError) as error:
        raise UserError(f'{where}: {error}') from error


@contextmanager
def _log_untouched() -> Iterator[None]:
    """Keeps BasicSR's logger as it is: the first use decides about the log file, and the run is to make it."""
    logger = logging.getLogger('basicsr')
    before = dict(basicsr_logger.initialized_logger), list(logger.handlers), logger.level, logger.propagate
    basicsr_logger.initialized_logger['basicsr'] = True
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        initialized, logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
        basicsr_logger.initialized_logger.clear()
        basicsr_logger.initialized_logger.update(initialized)
