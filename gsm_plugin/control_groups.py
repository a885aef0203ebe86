"""The control groups of this process, by which Linux and containers limit what it takes of the machine."""

from collections.abc import Iterator
from pathlib import Path

_GROUPS, _ROOT = Path('/proc/self/cgroup'), Path('/sys/fs/cgroup')


def control_groups(controller: str) -> Iterator[tuple[Path, bool]]:
    """Finds the groups that limit this process.

    Args:
        controller: What they limit, as `memory` or `cpu`.

    Yields:
        Folder of a group, the innermost first, and whether its files are those of the second version; folders may lack
        the files of limits that are not set.
    """
    try:
        lines = _GROUPS.read_text(encoding='utf-8').splitlines()
    except OSError:
        return
    for line in lines:
        number, names, path = line.split(':', 2)
        if number == '0' or controller in names.split(','):
            root = _ROOT if number == '0' else _ROOT / controller
            folder = root / path.lstrip('/')
            # In a container the group may be shown as the root, whatever it is called outside.
            for group in (folder, *folder.parents) if folder.is_dir() else (root,):
                yield group, number == '0'
