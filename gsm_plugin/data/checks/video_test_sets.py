"""BasicSR's video test sets: one folder a clip, paired by position, and only under the names that it knows."""

import glob
import os

from tqdm import tqdm

from gsm_plugin.data.checks.meta_info import check_listed, read_lines
from gsm_plugin.data.checks.vimeo import check_sequences
from gsm_plugin.data.lq_gt_checks import check_frames, check_same_names, common_size, compare_sizes, visible_names
from gsm_plugin.data.parallel import map_in_order
from gsm_plugin.errors import UserError

_THREADS = 8
_KNOWN_NAMES = ('vid4', 'reds4', 'redsofficial')
_WINDOWED = ('VideoTestDataset', 'VideoTestDUFDataset')
# How many frames a clip needs by the way in which BasicSR pads it, for windows of so many.
_LEAST_FRAMES = {
    'replicate': lambda count: 1,
    'reflection': lambda count: count // 2 + 1,
    'reflection_circle': lambda count: count,
    'circle': lambda count: count,
}
_OURS = 'or take type VideoFoldersDataset, which has no such limit'


def check(section: dict) -> None:
    """Checks the clips that `VideoTestDataset` or `VideoTestDUFDataset` will read.

    Raises:
        UserError: See `dataset_checks.check_datasets`.
        KeyError: An option is missing.
    """
    if str(section['name']).lower() not in _KNOWN_NAMES:
        raise UserError(
            f'{section["type"]} takes no name but Vid4, REDS4 and REDSofficial, not {section["name"]!r}; '
            f'call it one of these, {_OURS}.'
        )
    _refuse_lmdb(section)
    lq_root, gt_root = section['dataroot_lq'], section['dataroot_gt']
    for clip in _clips(section, lq_root, gt_root):
        lq, gt = zip(*check_frames(os.path.join(lq_root, clip), os.path.join(gt_root, clip)), strict=True)
        gt_size = common_size(gt)
        if section['type'] in _WINDOWED:
            _check_window(section, clip, len(lq))
        if 'meta_info_file' in section:
            check_listed(section, {clip: os.path.relpath(gt[0], gt_root)})
        if not section.get('use_duf_downsampling'):
            compare_sizes(lq[0], common_size(lq), gt[0], gt_size, section.get('scale'))


def check_recurrent(section: dict) -> None:
    """Checks the clips that `VideoRecurrentTestDataset` will read.

    Raises:
        UserError: See `dataset_checks.check_datasets`.
        KeyError: An option is missing.
    """
    if not section['cache_data']:
        raise UserError(f'VideoRecurrentTestDataset needs cache_data: true; set it, {_OURS}.')
    check(section)


def check_vimeo(section: dict) -> None:
    """Checks the sequences that `VideoTestVimeo90KDataset` will read: the header of every frame.

    Raises:
        UserError: See `dataset_checks.check_datasets`.
        KeyError: An option is missing.
    """
    if section['cache_data']:
        raise UserError('VideoTestVimeo90KDataset cannot have cache_data: true; set it to false.')
    _refuse_lmdb(section)
    sequences = [words[0] for words in read_lines(section['meta_info_file'], '00001/0266 7 (256,448,3)')]
    for key in ('dataroot_lq', 'dataroot_gt'):
        check_sequences(section[key], sequences)
    first = (9 - section['num_frame']) // 2
    names = [f'im{frame}.png' for frame in range(first, first + section['num_frame'])]

    def check_sequence(sequence: str) -> None:
        gt = os.path.join(section['dataroot_gt'], sequence, 'im4.png')
        lq = [os.path.join(section['dataroot_lq'], sequence, name) for name in names]
        compare_sizes(lq[0], common_size(lq), gt, common_size([gt]), section.get('scale'))

    # Threads, since a disk far away answers many questions at once.
    for _ in tqdm(map_in_order(check_sequence, sequences, _THREADS), 'headers', len(sequences), delay=2):
        pass
    check_listed(section, {sequence: f'{sequence}/im4.png' for sequence in sequences})


def _check_window(section: dict, clip: str, frames: int) -> None:
    """The frames around each one, which BasicSR makes up at the ends of a clip out of those that are there."""
    count, padding = section['num_frame'], section['padding']
    if count % 2 == 0:
        raise UserError(f'num_frame is {count}; {section["type"]} needs an odd number.')
    if padding not in _LEAST_FRAMES:
        raise UserError(f'padding is {padding!r}; set {", ".join(_LEAST_FRAMES)}.')
    least = _LEAST_FRAMES[padding](count)
    if frames < least:
        raise UserError(
            f'clip {clip} has {frames} frames, but num_frame {count} with padding {padding} needs {least}; set '
            f'padding: replicate, or leave the clip out by meta_info_file.'
        )


def _clips(section: dict, lq_root: str, gt_root: str) -> list[str]:
    if 'meta_info_file' in section:
        return [words[0] for words in read_lines(section['meta_info_file'], '000 100 (720,1280,3)')]
    for root in (lq_root, gt_root):
        if glob.escape(root) != root:
            raise UserError(f'{root} has a *, ? or [ in its name, by which BasicSR finds no clips; rename it, {_OURS}.')
    clips = visible_names(lq_root)
    check_same_names('clip', clips, visible_names(gt_root), lq_root, gt_root)
    for path in (os.path.join(root, clip) for clip in clips for root in (lq_root, gt_root)):
        if not os.path.isdir(path):
            raise UserError(
                f'{path} is no folder of frames; move it away, since BasicSR takes everything in its '
                f'folder for a clip, or name the clips in meta_info_file.'
            )
    if not clips:
        raise UserError(f'{lq_root} has no clips; it needs one folder a clip.')
    return clips


def _refuse_lmdb(section: dict) -> None:
    if section['io_backend']['type'] == 'lmdb':
        raise UserError('validation and test sets are read from folders; set io_backend:type disk.')
