"""No clip is trained on and validated on: BasicSR's REDS sets see to that by val_partition, lists do not."""

import filecmp
import os
from collections.abc import Sequence
from pathlib import Path

from gsm_plugin.data.checks import reds
from gsm_plugin.data.clip_names import read_clip_list
from gsm_plugin.data.frame_sources import FolderSource, FrameSource, LmdbSource
from gsm_plugin.data.lq_gt_checks import visible_names
from gsm_plugin.errors import UserError
from gsm_plugin.options.data_sections import data_sections

_REDS = ('REDSDataset', 'REDSRecurrentDataset')
_LISTED = ('Vimeo90KDataset', 'Vimeo90KRecurrentDataset', 'VideoTestVimeo90KDataset')
_FOLDERS = ('VideoTestDataset', 'VideoTestDUFDataset', 'VideoRecurrentTestDataset')
_OURS = ('VideoFoldersDataset', 'DegradedClipsDataset')
_MOST_NAMES = 12


def check_held_out(sections: dict[str, dict]) -> None:
    """Compares the clips of training sets, and of their parts, with those of the other sets.

    Where both read the same folder or LMDB, a clip is the same by its name, each set having the clips of its own list.
    In two folders it is the same where its name, and name and content of its first frame, are the same.

    Args:
        sections: The data sets of an option file by key, each checked by itself before.

    Raises:
        UserError: Clips are in both; the text has the commands that write lists which share none.
    """
    for path, section in data_sections({'datasets': sections}):
        key = path.removeprefix('datasets:')
        if key.split(':')[0] != 'train' or not section.get('dataroot_gt'):
            continue
        trained = clips_of(section)
        for other_key, other in sections.items():
            if other['phase'] != 'train' and other.get('dataroot_gt'):
                held_out = clips_of(other)
                shared = _shared_clips(section, trained, other, held_out)
                if shared:
                    raise UserError(
                        f'{_names(shared)} in datasets:{key} and in datasets:{other_key}, so the same would be trained '
                        f'and validated on; {_cure(section, trained, other, held_out, shared)}.'
                    )


def clips_of(section: dict) -> list[str]:
    """Names of the clips that a data set reads: those of its list, or of its folder; none where it has no clips."""
    kind = section['type']
    if kind in _REDS:
        return list(reds.clip_counts(section))
    if kind in _OURS:
        return list(_source(section).frames)
    if kind in (*_LISTED, *_FOLDERS) and section.get('meta_info_file'):
        return list(read_clip_list(section['meta_info_file']))
    return visible_names(section['dataroot_gt']) if kind in _FOLDERS else []


def _source(section: dict) -> FrameSource:
    listed = list(read_clip_list(section['meta_info_file'])) if section.get('meta_info_file') else None
    return (LmdbSource if _is_lmdb(section) else FolderSource)(section['dataroot_gt'], listed)


def _is_lmdb(section: dict) -> bool:
    return (section.get('io_backend') or {}).get('type', 'disk') == 'lmdb'


def _shared_clips(section: dict, trained: Sequence[str], other: dict, held_out: Sequence[str]) -> list[str]:
    common = set(held_out).intersection(trained)
    shared = [clip for clip in trained if clip in common]
    if _same_root(section, other) or not shared:
        return shared
    if section['type'] not in _OURS or _is_lmdb(section) or _is_lmdb(other):
        return []
    source, root = _source(section), Path(other['dataroot_gt']).expanduser()
    return [clip for clip in shared if _same_frame(Path(source.where(clip, 0)), root / clip)]


def _same_root(section: dict, other: dict) -> bool:
    return os.path.realpath(section['dataroot_gt']) == os.path.realpath(other['dataroot_gt'])


def _same_frame(first: Path, folder: Path) -> bool:
    return (folder / first.name).is_file() and filecmp.cmp(first, folder / first.name, shallow=False)


def _cure(section: dict, trained: Sequence[str], other: dict, held_out: Sequence[str], shared: Sequence[str]) -> str:
    """How the two sets get lists without a common clip."""
    if _is_lmdb(section) or section['type'] in _LISTED:
        return f'take {" ".join(shared[:_MOST_NAMES])} out of the meta_info_file of one of them'
    root, same = section['dataroot_gt'], _same_root(section, other)
    without = f'basicsr data meta {root} train.txt --leave-out'
    if not same or (other.get('meta_info_file') and len(shared) < len(trained)):
        # All that the other set has, or the next refusal would be about the next of its clips.
        left_out = held_out if same else shared
        return f'give the training set the meta_info_file that {without} {_words(left_out)} writes'
    only = f'basicsr data meta {root} val.txt --only'
    rest = [clip for clip in held_out if clip not in set(trained)]
    if rest:
        return f'give the other set the meta_info_file that {only} {_words(rest)} writes'
    return (
        f'give each the meta_info_file that {without} {shared[-1]} and {only} {shared[-1]} write, with other clips if '
        f'you like'
    )


def _words(names: Sequence[str]) -> str:
    return ' '.join(names[:_MOST_NAMES]) + (' ...' if len(names) > _MOST_NAMES else '')


def _names(names: Sequence[str]) -> str:
    """Such as `clip 000 is`, or `clips 000, 001, 002 (and 4 more) are`."""
    if len(names) == 1:
        return f'clip {names[0]} is'
    more = f' (and {len(names) - 3} more)' if len(names) > 3 else ''
    return f'clips {", ".join(names[:3])}{more} are'
