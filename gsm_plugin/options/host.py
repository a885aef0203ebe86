"""The keys that BasicSR's own classes read: a table, which `scripts/make_host_keys.py` makes from BasicSR's source."""

import functools
import json
from pathlib import Path

TABLE = Path(__file__).with_name('host_keys.json')


@functools.cache
def host_keys(name: str) -> frozenset[tuple[str, ...]]:
    """The paths that a model or data set class of BasicSR reads in its options; none for a class that has none."""
    return frozenset(tuple(path.split(':')) for path in host_table().get(name, ()))


@functools.cache
def host_table() -> dict[str, list[str]]:
    """The paths of keys by the name of the class."""
    return json.loads(TABLE.read_text(encoding='utf-8'))
