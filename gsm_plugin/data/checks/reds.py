"""REDS as BasicSR reads it for training: 100 frames a clip, named 00000000.png and so on, or LMDBs."""

import os

from gsm_plugin.data.checks.meta_info import check_listed, check_lmdbs, read_lines
from gsm_plugin.data.layouts import REDS_HELD_OUT
from gsm_plugin.data.lq_gt_checks import check_size, visible_names
from gsm_plugin.errors import UserError

_LENGTH = 100


def check(section: dict) -> None:
    """Checks the clips that `REDSDataset` will read.

    Raises:
        UserError: See `dataset_checks.check_datasets`.
        KeyError: An option is missing.
    """
    clips = clip_counts(section)
    if section['io_backend']['type'] == 'lmdb':
        wanted = [f'{clip}/{frame:08d}' for clip, count in clips.items() for frame in range(count)]
        check_lmdbs(section['dataroot_lq'], section['dataroot_gt'], wanted, section.get('scale'))
        check_listed(section, {clip: f'{clip}/{0:08d}' for clip in clips})
        return
    for clip, count in clips.items():
        folders = [os.path.join(section[key], clip) for key in ('dataroot_lq', 'dataroot_gt')]
        for folder in folders:
            missing = {f'{frame:08d}.png' for frame in range(count)} - set(visible_names(folder))
            if missing:
                raise UserError(
                    f'frame {min(missing)} is missing in {folder}, but {section["meta_info_file"]} says {count}; '
                    f'add it, or correct the list.'
                )
        lq, gt = (os.path.join(folder, '00000000.png') for folder in folders)
        check_size(lq, gt, section.get('scale'))
    check_listed(section, {clip: f'{clip}/00000000.png' for clip in clips})


def check_recurrent(section: dict) -> None:
    """Checks the clips that `REDSRecurrentDataset` will read, which draws from 100 frames whatever the list says.

    Raises:
        UserError: See `dataset_checks.check_datasets`.
        KeyError: An option is missing.
    """
    if 'test_mode' not in section:
        raise KeyError('test_mode')
    for clip, count in clip_counts(section).items():
        if count < _LENGTH:
            raise UserError(
                f'clip {clip} has {count} frames in {section["meta_info_file"]}, but REDSRecurrentDataset reads '
                f'{_LENGTH} of every clip; take type VideoFoldersDataset for clips of any length.'
            )
    span = section['num_frame'] * max(section.get('interval_list', [1]))
    if span > _LENGTH:
        raise UserError(f'num_frame and interval_list span {span} frames of {_LENGTH}; lower one of them.')
    check(section)


def clip_counts(section: dict) -> dict[str, int]:
    """Number of frames of each clip that the set reads: those that val_partition holds out in test_mode, or the others.

    Raises:
        UserError: The list or val_partition is wrong, or no clip is left.
        KeyError: An option is missing.
    """
    path, partition = section['meta_info_file'], section['val_partition']
    held_out = bool(section.get('test_mode'))
    if partition not in REDS_HELD_OUT:
        raise UserError(f'val_partition is {partition!r}; set REDS4 or official.')
    lines = read_lines(path, '000 100 (720,1280,3)')
    clips = {clip: int(count) for clip, count, _ in lines if (clip in REDS_HELD_OUT[partition]) == held_out}
    if not clips:
        raise UserError(f'{path} has no clips that are left with val_partition {partition}.')
    return clips
