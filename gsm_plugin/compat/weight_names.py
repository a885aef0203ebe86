"""The names that mmagic (mmediting) gives to weights, turned into those of BasicSR's networks.

Both have BasicVSR, IconVSR, BasicVSR++, EDVR and SPyNet with the same layers. mmagic wraps many convolutions, which
puts `.conv` behind their names, and counts those of SPyNet without the activations between them.
"""

import re
from collections.abc import Collection, Iterable

_RULES = (
    (re.compile(r'(basic_module\.\d+\.basic_module\.)(\d+)\.conv\.'), lambda m: f'{m[1]}{2 * int(m[2])}.'),
    (re.compile(r'\b(backward|forward)_resblocks\.'), r'\1_trunk.'),
    (re.compile(r'\bupsample([12])\.upsample_conv\.'), r'upconv\1.'),
    (re.compile(r'\bfeat_l([23])_conv([12])\.conv\.'), r'conv_l\1_\2.'),
    (re.compile(r'\bpcd_alignment\.'), 'pcd_align.'),
    (re.compile(r'\.conv\.(weight|bias)$'), r'.\1'),
)


def to_basicsr_names(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Translates names of weights where that gives a name of the network.

    Args:
        names: Names in a file.
        known: Names of the network.

    Returns:
        The name to use for each; one that the network has, and one that no rule helps, stays.
    """
    return {name: name if name in known else _translate(name, known) for name in names}


def _translate(name: str, known: Collection[str]) -> str:
    translated = name
    for pattern, replacement in _RULES:
        translated = pattern.sub(replacement, translated)
    return translated if translated in known else name
