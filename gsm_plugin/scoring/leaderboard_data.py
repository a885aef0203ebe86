"""Finds and checks the data set of a leaderboard."""

from pathlib import Path

from gsm_plugin.data.clip_names import read_clip_list
from gsm_plugin.data.frame_sources import FolderSource
from gsm_plugin.data.paired_clips import PairedClips, size_text
from gsm_plugin.data.protocols import Protocol
from gsm_plugin.errors import UserError
from gsm_plugin.scoring.clips import PairedClipSet

_SCALE = 4


def check_folders(protocol: Protocol, degradation: str, root: Path) -> None:
    """Refuses a leaderboard whose data set is not there.

    Args:
        protocol: The leaderboard.
        degradation: `bi` or `bd`.
        root: Folder of data sets.

    Raises:
        UserError: A folder is missing.
    """
    for folder in (root / protocol.gt, root / protocol.lq_of(degradation)):
        if not folder.is_dir():
            raise UserError(
                f'{folder} is missing; put {protocol.title} there, as {_layout(protocol, degradation, root)} '
                f'(docs/data.md), or name the folder of data sets by --datasets.'
            )


def open_leaderboard(protocol: Protocol, degradation: str, root: Path, partial: bool) -> PairedClipSet:
    """Opens the data set of a leaderboard, with all names, numbers of frames and sizes checked before anything runs.

    Args:
        protocol: The leaderboard.
        degradation: `bi` or `bd`.
        root: Folder of data sets.
        partial: Whether fewer clips, fewer frames and smaller ones are accepted.

    Raises:
        UserError: A folder, clip or frame is missing or too much, or LQ and ground truth do not fit each other.
    """
    check_folders(protocol, degradation, root)
    gt_root, lq_root = root / protocol.gt, root / protocol.lq_of(degradation)
    expected = _expected_clips(protocol, root)
    names = [name for name in expected if not partial or (gt_root / name).is_dir()]
    if not names:
        raise UserError(f'{gt_root} has no clip of {protocol.title}, such as {next(iter(expected))}; add some.')
    try:
        paired = PairedClips(FolderSource(lq_root, names), FolderSource(gt_root, names), _SCALE, protocol.title)
    except (OSError, ValueError) as error:
        raise UserError(_cure(str(error))) from error
    if not partial:
        _check_whole(protocol, paired, expected)
    return PairedClipSet(paired, protocol.center_frame_only)


def _expected_clips(protocol: Protocol, root: Path) -> dict[str, int]:
    if not protocol.clip_list:
        return dict(protocol.clips)
    path = root / protocol.clip_list
    if not path.is_file():
        raise UserError(
            f'{path} is missing; it names the clips of {protocol.title}, one a line: 00001/0266 7 (256,448,3).'
        )
    return dict.fromkeys(read_clip_list(path), protocol.clip_frames)


def _check_whole(protocol: Protocol, paired: PairedClips, expected: dict[str, int]) -> None:
    if protocol.listed_clips and len(expected) != protocol.listed_clips:
        raise UserError(
            f'{protocol.clip_list} names {len(expected)} clips, but {protocol.title} has {protocol.listed_clips}; '
            f'complete it, or set --partial.'
        )
    gt = paired.known_gt
    for name, count in expected.items():
        found = len(gt.frames[name])
        if found != count:
            raise UserError(
                f'{Path(gt.where(name, 0)).parent} has {found} frames, but clip {name} of {protocol.title} has '
                f'{count}; complete it, remove what is too much, or set --partial.'
            )
        size = gt.header(name, 0).size
        if protocol.gt_size not in (None, size):
            raise UserError(
                f'{gt.where(name, 0)} has {size_text(size)} pixels, but frames of {protocol.title} have '
                f'{size_text(protocol.gt_size)}; get the original frames, or set --partial.'
            )


def _layout(protocol: Protocol, degradation: str, root: Path) -> str:
    clip = protocol.clips[0][0] if protocol.clips else '00001/0266'
    frame = 'im1.png' if protocol.clip_list else '00000000.png'
    folders = (protocol.gt, protocol.lq_of(degradation))
    return ' and '.join(str(root / folder / clip / frame) for folder in folders)


def _cure(sentence: str) -> str:
    """The datasets' sentences speak of option files, of which there is none here."""
    return sentence.replace('correct the dataroot or meta_info_file', 'add it').replace(
        'remove it, or name the wanted folders in meta_info_file', 'complete it'
    )
