"""The settings of a GSM that no shape tells, as one small buffer of whole numbers for files that have no metadata."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gsm_plugin.errors import UserError

NAME = 'gsm_settings'
"""Name of the buffer among the weights."""
ASSUMED = {
    'pa_frame': 2,
    'anchor': 'center',
    'scatter': 'all',
    'flow_composition': 'reference',
    'ssm_init': 'reference',
}
"""What the network has where nothing tells it: the published values."""
# The order of words is that of the numbers in files: new ones go to the end.
_WORDS = {
    'anchor': ('center', 'forward'),
    'scatter': ('all', 'anchor'),
    'flow_composition': ('reference', 'exact'),
    'ssm_init': ('reference', 'mamba'),
}


def settings_buffer(options: Mapping[str, object]) -> Tensor:
    """Writes settings of `network_g` as a buffer (5,) of int64; those that are left out have the published values."""
    settings = {**ASSUMED, **options}
    numbers = [_WORDS[key].index(settings[key]) if key in _WORDS else settings[key] for key in ASSUMED]
    return torch.tensor(numbers, dtype=torch.int64)


def read_settings(buffer: Tensor) -> dict[str, object]:
    """The settings in a buffer, as `network_g` has them.

    Raises:
        UserError: It is no such buffer.
    """
    numbers = [] if buffer.is_floating_point() else buffer.flatten().tolist()
    known = len(numbers) == len(ASSUMED) and all(
        0 <= number < len(_WORDS.get(key, range(100))) for key, number in zip(ASSUMED, numbers, strict=True)
    )
    if not known:
        raise UserError(
            f'The buffer {NAME} of the weights is {buffer.flatten().tolist()[:8]}, not the {len(ASSUMED)} whole '
            f'numbers that basicsr weights convert writes; get the file again, or take the buffer out.'
        )
    pairs = zip(ASSUMED, numbers, strict=True)
    return {key: _WORDS[key][number] if key in _WORDS else number for key, number in pairs}
