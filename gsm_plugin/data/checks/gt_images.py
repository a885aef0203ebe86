"""BasicSR's training sets of ground truth alone: FFHQ for StyleGAN, and Real-ESRGAN's own."""

import os
from copy import deepcopy
from typing import Any

from basicsr.utils.registry import DATASET_REGISTRY

from gsm_plugin.compat.image_files import no_file
from gsm_plugin.data.lmdb_list import read_lmdb_list
from gsm_plugin.data.lq_gt_checks import image_size, visible_names
from gsm_plugin.errors import UserError
from gsm_plugin.options.names import find


def check_ffhq(section: dict) -> None:
    """Checks the images that `FFHQDataset` will read: 70,000 of them, named 00000000.png and so on, or an LMDB.

    Raises:
        UserError: One of them is missing, or the first is no image.
        KeyError: An option is missing.
    """
    root = section['dataroot_gt']
    paths = _built(section).paths
    if section['io_backend']['type'] != 'disk':
        return
    missing = {os.path.basename(path) for path in paths} - set(visible_names(root))
    if missing:
        raise UserError(
            f'{root} lacks {min(missing)}; FFHQDataset reads {len(paths)} images, named 00000000.png and so on, so '
            f'correct dataroot_gt, or take another type, such as RealESRGANDataset with a list.'
        )
    image_size(paths[0])


def check_realesrgan(section: dict) -> None:
    """Checks the images that `RealESRGANDataset` will read: those that the list `meta_info` names, or an LMDB's.

    Raises:
        UserError: The list is empty, a file that it names does not exist, or the first is no image.
        KeyError: An option is missing.
    """
    if section['io_backend']['type'] == 'disk' and section['meta_info'] is None:
        raise KeyError('meta_info')
    paths = _built(section).paths
    if section['io_backend']['type'] == 'disk':
        require_files(paths, section['meta_info'])
        image_size(paths[0])


def require_files(paths: list[str], listed: str) -> None:
    """Refuses a list that names no image, or one that does not exist.

    Args:
        paths: What the list names.
        listed: The list.

    Raises:
        UserError: See above.
    """
    if not paths:
        raise UserError(f'{listed} names no image; write one a line, as a path below dataroot_gt.')
    for path in paths:
        if os.path.islink(path) and not os.path.exists(path):
            raise no_file(path, FileNotFoundError())
        if not os.path.isfile(path):
            raise UserError(f'{listed} names {path}, which does not exist; correct the line, or the folder.')


def _built(section: dict) -> Any:
    """The set, of an LMDB only after its list was looked at; BasicSR would take any lines for keys."""
    root = section['dataroot_gt']
    if section['io_backend']['type'] == 'lmdb':
        if not root.endswith('.lmdb'):
            raise UserError(f'dataroot_gt is {root}; the name of an LMDB ends in .lmdb, so rename it, or set disk.')
        if not read_lmdb_list(root):
            raise UserError(f'{root} holds no images; make the LMDB again.')
    return find(DATASET_REGISTRY, section['type'])(deepcopy(section))
