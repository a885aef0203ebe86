"""BasicSR's pairs of single images, in folders or LMDBs."""

from copy import deepcopy

from basicsr.data.paired_image_dataset import PairedImageDataset

from gsm_plugin.data.lq_gt_checks import check_size


def check_paired_images(section: dict) -> None:
    """Builds a `PairedImageDataset`, which lists and compares names, and compares the size of the first pair.

    Validation sets may be larger than scale times LQ: BasicSR cuts what is over.

    Raises:
        UserError: GT of a training set is not scale times LQ.
        AssertionError, ValueError, OSError: What BasicSR says about names and numbers.
        KeyError: An option is missing.
    """
    paths = PairedImageDataset(deepcopy(section)).paths
    if section['phase'] == 'train' and section['io_backend']['type'] == 'disk' and paths:
        check_size(paths[0]['lq_path'], paths[0]['gt_path'], section.get('scale'))
