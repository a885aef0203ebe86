"""The names that mmagic (mmediting) gives to weights, turned into those of BasicSR's networks.

Both have BasicVSR, IconVSR, BasicVSR++, EDVR and SPyNet with the same layers. mmagic wraps many convolutions, which
puts `.conv` behind their names, and counts those of SPyNet without the activations between them.
"""

import re
from collections.abc import Collection

_RULES = (
    (re.compile(r'(basic_module\.\d+\.basic_module\.)(\d+)\.conv\.'), lambda m: f'{m[1]}{2 * int(m[2])}.'),
    (re.compile(r'\b(backward|forward)_resblocks\.'), r'\1_trunk.'),
    (re.compile(r'\bupsample([12])\.upsample_conv\.'), r'upconv\1.'),
    (re.compile(r'\bfeat_l([23])_conv([12])\.conv\.'), r'conv_l\1_\2.'),
    (re.compile(r'\bpcd_alignment\.'), 'pcd_align.'),
    (re.compile(r'\.conv\.(weight|bias)$'), r'.\1'),
)


def to_basicsr_name(name: str, known: Collection[str]) -> str:
    """Translates the name of a weight where that gives a name of the network; otherwise it stays.

    Args:
        name: Name in a file.
        known: Names of the network.
    """
    if name in known:
        return name
    translated = translate(name)
    return translated if translated in known else name


def translate(name: str) -> str:
    """The name after all rules, whether a network has it or not."""
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name
