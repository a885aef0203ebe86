"""BasicSR's lists of clips, and the list that it keeps inside each of its LMDBs."""

import os
import re
from collections.abc import Mapping

from gsm_plugin.compat.text_lists import plain_words, read_list
from gsm_plugin.data.clip_names import read_clip_facts
from gsm_plugin.data.listed_clips import check_listed_size
from gsm_plugin.data.lmdb_list import read_lmdb_list
from gsm_plugin.data.lq_gt_checks import check_same_names, compare_sizes, image_size
from gsm_plugin.errors import UserError


def read_lines(path: str, form: str) -> list[list[str]]:
    """Reads a list of clips.

    Args:
        path: A text file, one clip a line.
        form: What a line looks like, such as '000 100 (720,1280,3)'.

    Returns:
        The words of each line: name, number of frames and size.

    Raises:
        UserError: The list is empty or no text, a line has another form, or a clip is named twice.
    """
    numbers: dict[str, int] = {}
    lines = []
    for number, line in read_list(path):
        words = plain_words(line).split(' ')
        if len(words) != 3 or not words[1].isdecimal() or not re.fullmatch(r'\(\d+,\d+,\d+\)', words[2]):
            raise UserError(f'{path}, line {number} is {line!r}; a line looks like "{form}".')
        if words[0] in numbers:
            raise UserError(
                f'{path}, line {number} names {words[0]} again, after line {numbers[words[0]]}; remove one.'
            )
        numbers[words[0]] = number
        lines.append(words)
    if not lines:
        raise UserError(f'{path} is empty; a line looks like "{form}".')
    return lines


def check_listed(section: dict, frames: Mapping[str, str]) -> None:
    """Compares the sizes in a list with those of the ground truth.

    Args:
        section: The data set, of which `read_lines` has read the list.
        frames: By clip a frame of it, as a path below dataroot_gt or a key of the LMDB.

    Raises:
        UserError: The first clip of another size than its line gives.
    """
    root, listed = section['dataroot_gt'], section['meta_info_file']
    facts = read_clip_facts(listed)
    sizes = read_lmdb_list(root) if section['io_backend']['type'] == 'lmdb' else None
    for clip, frame in frames.items():
        where = os.path.join(root, frame)
        size = image_size(where) if sizes is None else sizes[frame][:2]
        check_listed_size(listed, clip, facts[clip], where, size)


def check_lmdbs(lq: str, gt: str, wanted: list[str], scale: int | None) -> None:
    """Compares two LMDBs by their lists of images, without opening them.

    Args:
        lq: Folder of the LQ LMDB.
        gt: Folder of the GT LMDB.
        wanted: Keys that the data set will ask for.
        scale: GT side over LQ side, or None where the options do not tell.

    Raises:
        UserError: A list is missing, a key is missing in one of them, or sizes do not fit.
    """
    lq_sizes, gt_sizes = ({key: shape[:2] for key, shape in read_lmdb_list(root).items()} for root in (lq, gt))
    check_same_names('image', lq_sizes, gt_sizes, lq, gt)
    for key in wanted:
        if key not in lq_sizes:
            raise UserError(f'the image {key} is missing in {lq}; make the LMDBs again, or correct meta_info_file.')
        compare_sizes(f'{lq}: {key}', lq_sizes[key], f'{gt}: {key}', gt_sizes[key], scale)
