"""BasicSR's sets of single images, in pairs or alone, in folders or LMDBs."""

from copy import deepcopy

from basicsr.utils.registry import DATASET_REGISTRY

from gsm_plugin.compat import UserError
from gsm_plugin.data.lq_gt_checks import check_size, frame_names, image_size


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
    if is_disk and not any(section.get(key) for key in ('meta_info_file', 'meta_info')):
        for key in roots:
            frame_names(section[key])
    paths = DATASET_REGISTRY.get(section['type'])(deepcopy(section)).paths
    if not paths:
        raise UserError(f'{section[roots[0]]} has no images; correct {roots[0]}.')
    return paths if is_disk else []
