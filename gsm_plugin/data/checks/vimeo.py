"""Vimeo-90K as BasicSR reads it for training: sequences of seven frames, im1.png to im7.png, or LMDBs."""

import os

from gsm_plugin.data.checks.meta_info import check_listed, check_lmdbs, read_lines
from gsm_plugin.data.lq_gt_checks import check_size, visible_names
from gsm_plugin.errors import UserError


def check(section: dict) -> None:
    """Checks the sequences that `Vimeo90KDataset` or `Vimeo90KRecurrentDataset` will read.

    On disk, all sequences are looked for but only the first one's frames: there are 64,612 of seven.

    Raises:
        UserError: See `dataset_checks.check_datasets`.
        KeyError: An option is missing.
    """
    sequences = [words[0] for words in read_lines(section['meta_info_file'], '00001/0001 7 (256,448,3)')]
    scale = section.get('scale')
    if section['io_backend']['type'] == 'lmdb':
        wanted = [f'{sequence}/im4' for sequence in sequences]
        check_lmdbs(section['dataroot_lq'], section['dataroot_gt'], wanted, scale)
        check_listed(section, dict(zip(sequences, wanted, strict=True)))
        return
    for key in ('dataroot_lq', 'dataroot_gt'):
        check_sequences(section[key], sequences)
    for frame in range(1, 8):
        lq, gt = (os.path.join(section[key], sequences[0], f'im{frame}.png') for key in ('dataroot_lq', 'dataroot_gt'))
        check_size(lq, gt, scale)
    check_listed(section, {sequences[0]: f'{sequences[0]}/im4.png'})


def check_sequences(root: str, sequences: list[str]) -> None:
    """Refuses a root folder that lacks one of the sequences, each named 'clip/sequence'.

    Raises:
        UserError: Names the first one that is missing.
    """
    present: dict[str, set[str]] = {}
    for sequence in sequences:
        clip, _, number = sequence.partition('/')
        if clip not in present:
            present[clip] = set(visible_names(os.path.join(root, clip)))
        if number not in present[clip]:
            raise UserError(f'sequence {sequence} is missing in {root}; add it, or take it out of meta_info_file.')
