"""Names that people give for tiles, precisions and devices, known without PyTorch."""

import re

from gsm_plugin.errors import UserError

RULES = ('blended', 'published')
"""How outputs of neighbouring tiles are joined; see `gsm_plugin.inference.tiling.list_axes`."""

PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16')
"""What networks compute in; auto is the fastest one of the device."""

# PyTorch counts devices in 8 bits, so that it takes cuda:256 for cuda:0; and tensors say that they are on mps:0.
_DEVICES = re.compile(r'auto|cpu|cuda(:\d{1,2})?|mps(:0)?', re.ASCII)


def check_precision_name(name: str) -> None:
    """Refuses a name of no precision.

    Raises:
        UserError: It is neither auto nor one of `PRECISIONS`.
    """
    if name != 'auto' and name not in PRECISIONS:
        raise UserError(f'precision is {name!r}; it must be one of auto, {", ".join(PRECISIONS)}.')


def check_device_name(name: object) -> None:
    """Refuses a name of no kind of device; whether the device is there is another question.

    Raises:
        UserError: It is none.
    """
    if not _DEVICES.fullmatch(str(name)):
        raise UserError(f'device is {name!r}; it must be auto, cpu, cuda, cuda:NUMBER or mps.')
