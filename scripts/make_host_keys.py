"""Writes the table of the keys that BasicSR's classes read: `python scripts/make_host_keys.py`.

It is `gsm_plugin/options/host_keys.json`, made from the source of the BasicSR that is installed.
"""

import argparse
import json

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY
from host_keys.source_scan import BELOW, Path, scan_class

from gsm_plugin.files import write_whole
from gsm_plugin.options.host import TABLE

# What parsing sets, whatever the file says.
_SET_BY_THE_RUN = {
    *[('dist',), ('rank',), ('world_size',), ('is_train',), ('phase',), ('scale',)],
    *[('path', key) for key in ('models', 'training_states', 'visualization')],
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    write_whole(TABLE, host_table().encode())
    print(f'Wrote {TABLE}.')


def host_table() -> str:
    """The table as JSON: the paths of keys by the name of the class."""
    classes = {cls for registry in (MODEL_REGISTRY, DATASET_REGISTRY) for _, cls in registry}
    own = sorted((cls for cls in classes if cls.__module__.startswith('basicsr.')), key=lambda cls: cls.__name__)
    return json.dumps({cls.__name__: _keys(cls) for cls in own}, indent=1) + '\n'


def _keys(cls: type) -> list[str]:
    paths = scan_class(cls) - _SET_BY_THE_RUN
    return sorted(':'.join(path) for path in paths if not _is_above(path, paths))


def _is_above(path: Path, paths: frozenset[Path]) -> bool:
    """Whether longer paths tell more, or the path only says that a value goes elsewhere."""
    told = [other for other in paths if other[-1] != BELOW and len(other) > len(path)]
    return path[-1] == BELOW or any(other[: len(path)] == path for other in told)


if __name__ == '__main__':
    main()
