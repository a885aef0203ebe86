"""What data sets read of the options that BasicSR hands them."""

from collections.abc import Mapping
from typing import TypeVar

from gsm_plugin.options.declared.set_sections import Cropped, scale_of
from gsm_plugin.options.together import require_multiple

_C = TypeVar('_C', bound=Cropped)


def read_crops(declared: type[_C], opt: Mapping, title: str) -> _C:
    """Reads and checks the options of a set for training alone.

    Args:
        declared: What it declares.
        opt: Its options, with the `scale` that the run sets.
        title: What messages call the set.

    Raises:
        UserError: A key is missing or its value wrong, or the crop does not fit the scale.
    """
    read = declared.read(opt, f'{title}: ')
    require_multiple(read.gt_size, scale_of(opt, title), f'{title}: ')
    return read
