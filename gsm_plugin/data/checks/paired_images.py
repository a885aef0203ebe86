"""BasicSR's sets of single images, in pairs or alone, in folders or LMDBs."""

from copy import deepcopy

from basicsr.utils.registry import DATASET_REGISTRY

from gsm_plugin.compat.text_lists import read_list
from gsm_plugin.data.checks.gt_images import require_files
from gsm_plugin.data.lq_gt_checks import check_size, frame_names, image_size
from gsm_plugin.errors import UserError
from gsm_plugin.options.names import find


def check(section: dict) -> None:
    """Builds a set of pairs, which lists and compares names, and looks at what it will read.

    Of a training set that is the size of the first pair; of the others, every header. Those may be larger than scale
    times LQ: BasicSR cuts what is over.

    Raises:
        UserError: Something in the folders is no image, or GT of a training set is not scale times LQ.
        AssertionError, ValueError, OSError: What BasicSR says about names and numbers.
        KeyError: An option is missing.
    """
    paths = _list_paths(section, ('dataroot_lq', 'dataroot_gt'))
    if section['phase'] != 'train':
        for pair in paths:
            image_size(pair['lq_path'])
            image_size(pair['gt_path'])
    elif paths:
        check_size(paths[0]['lq_path'], paths[0]['gt_path'], section.get('scale'))


def check_single(section: dict) -> None:
    """Builds a set of single images, which lists names, and reads the header of each.

    Raises:
        UserError: Something in the folder is no image, or there is nothing in it.
        KeyError: An option is missing.
    """
    for path in _list_paths(section, ('dataroot_lq',)):
        image_size(path)


def _list_paths(section: dict, roots: tuple[str, ...]) -> list:
    """The paths of the images that the set will read from folders; none of an LMDB."""
    is_disk = section['io_backend']['type'] == 'disk'
    listed = section.get('meta_info_file') or section.get('meta_info')
    if is_disk and not listed:
        for key in roots:
            frame_names(section[key])
    elif is_disk and listed and section['type'] == 'RealESRGANPairedDataset':
        _check_pairs(listed)
    paths = find(DATASET_REGISTRY, section['type'])(deepcopy(section)).paths
    if is_disk and listed:
        files = [path if isinstance(path, str) else path[key] for path in paths for key in ('gt_path', 'lq_path')]
        require_files(list(dict.fromkeys(files)), listed)
    if not paths:
        raise UserError(f'{section[roots[0]]} has no images; correct {roots[0]}.')
    return paths if is_disk else []


def _check_pairs(listed: str) -> None:
    """Real-ESRGAN's own form of a list, whose lines BasicSR takes apart without looking."""
    for number, line in read_list(listed):
        if line.count(', ') != 1:
            raise UserError(f'{listed}, line {number} is {line!r}; a line looks like "gt/0001.png, lq/0001.png".')
