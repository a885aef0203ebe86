"""No clip is trained on and validated on: BasicSR's REDS sets see to that by val_partition, folders do not."""

import filecmp
from pathlib import Path

from gsm_plugin.compat import UserError
from gsm_plugin.data.clip_names import read_clip_list
from gsm_plugin.data.frame_sources import FolderSource
from gsm_plugin.engine.options.data_sections import data_sections

_OURS = ('VideoFoldersDataset', 'DegradedClipsDataset')


def check_held_out(sections: dict[str, dict]) -> None:
    """Compares the clips of training sets of ours, and of their parts, with those of the other sets in folders.

    A clip counts as the same where its name, and name and content of its first frame, are the same.

    Args:
        sections: The data sets of an option file by key, each checked by itself before.

    Raises:
        UserError: A clip is in both.
    """
    held_out = {
        key: section for key, section in sections.items() if section['phase'] != 'train' and _in_folders(section)
    }
    for path, section in data_sections({'datasets': sections}):
        key = path.removeprefix('datasets:')
        if key.split(':')[0] == 'train' and section['type'] in _OURS and _in_folders(section):
            for other in held_out:
                _compare(key, section, other, Path(held_out[other]['dataroot_gt']).expanduser())


def _in_folders(section: dict) -> bool:
    backend = (section.get('io_backend') or {}).get('type', 'disk')
    return backend == 'disk' and bool(section.get('dataroot_gt'))


def _compare(key: str, section: dict, other: str, other_root: Path) -> None:
    listed = list(read_clip_list(section['meta_info_file'])) if section.get('meta_info_file') else None
    source = FolderSource(section['dataroot_gt'], listed)
    for clip in source.frames:
        first = Path(source.where(clip, 0))
        same = other_root / clip / first.name
        if same.is_file() and filecmp.cmp(first, same, shallow=False):
            raise UserError(
                f'clip {clip} is in datasets:{key} and in datasets:{other} ({same}), so it would be trained and '
                f'validated on; name the others in meta_info_file, which basicsr data meta --leave-out {clip} writes.'
            )
