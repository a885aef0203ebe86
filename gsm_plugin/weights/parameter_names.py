"""Names of weights as a network has them, whichever wrappers and whichever framework they were saved in."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gsm_plugin.weights.mmagic_names import to_basicsr_name

# What torch.compile, FSDP and activation checkpointing put between the parts of a name, wherever the module is.
_BETWEEN = re.compile(r'(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')
# What stands before the names of a whole network: modules of training frameworks that hold it.
_HOLDERS = frozenset(
    {'module', '_forward_module', 'model', 'network', 'net', 'net_g', 'netG', 'generator', 'params', 'shadow'}
    | {'params_ema', 'net_g_ema', 'generator_ema', 'model_ema', 'ema', 'ema_model'}
)
_DEEPEST = 4


@dataclass(frozen=True)
class NameMatch:
    """How the names of a file became those of a network.

    Attributes:
        names: By name in the file, the one to use; those outside the prefix are not in it.
        prefix: What stood before the names, without what torch.compile and its like put in; mostly empty.
        left: Names outside the prefix.
    """

    names: Mapping[str, str]
    prefix: str
    left: tuple[str, ...]


def match_names(names: Iterable[str], known: Collection[str], averaged: bool = False) -> NameMatch:
    """Finds what to leave out before names, and translates those that mmagic gives.

    A prefix is left out where more of the network's names are behind it than without it. Any prefix will do that holds
    at least half of the network; a smaller part is taken only from behind the usual words, such as `module.`.

    Args:
        names: Names in a file.
        known: Names of the network.
        averaged: Which of two networks of the same names is wanted: the one whose prefix has `ema` in it, or the other.
    """
    known = frozenset(known)
    plain = {name: name if name in known else _BETWEEN.sub('', name) for name in names}
    found = Counter(prefix for name in plain.values() for prefix in _prefixes(name, known))
    prefix = _best(found, len(known), averaged) if found else _common(plain.values())
    matched = {
        name: to_basicsr_name(short.removeprefix(prefix), known)
        for name, short in plain.items()
        if short.startswith(prefix)
    }
    return NameMatch(matched, prefix, tuple(name for name in plain if name not in matched))


def _prefixes(name: str, known: frozenset[str]) -> Iterable[str]:
    """The beginnings of a name behind which there is a name of the network."""
    parts = name.split('.')
    for count in range(min(_DEEPEST + 1, len(parts))):
        if to_basicsr_name('.'.join(parts[count:]), known) in known:
            yield ''.join(f'{part}.' for part in parts[:count])


def _best(found: Counter, size: int, averaged: bool) -> str:
    def worth(prefix: str) -> tuple[int, bool, int]:
        return found[prefix], ('ema' in prefix.lower()) == averaged, -len(prefix)

    allowed = [prefix for prefix in found if 2 * found[prefix] >= size or _is_holder(prefix)]
    best = max(allowed, key=worth, default='')
    return best if found[best] > found[''] else ''


def _common(names: Iterable[str]) -> str:
    """Where nothing is known, the holders that stand before every name, so that messages show the names behind them."""
    names, prefix = list(names), ''
    while names:
        word = names[0][len(prefix) :].partition('.')[0]
        longer = f'{prefix}{word}.'
        if word not in _HOLDERS or not all(name.startswith(longer) for name in names):
            break
        prefix = longer
    return prefix


def _is_holder(prefix: str) -> bool:
    return all(word in _HOLDERS for word in prefix.split('.') if word)
