"""What a list of clips says of them beside their names, compared with what is there."""

from collections.abc import Mapping

from gsm_plugin.data.clip_names import ClipFacts
from gsm_plugin.data.frame_sources import FrameSource
from gsm_plugin.data.lq_gt_checks import Size
from gsm_plugin.errors import UserError


def check_listed_counts(title: str, facts: Mapping[str, ClipFacts], source: FrameSource, key: str) -> None:
    """Compares the numbers of frames.

    Args:
        title: What messages call the data set.
        facts: The list; all its clips are in the source.
        source: The clips.
        key: The option that names their folder.

    Raises:
        UserError: The first clip of another number of frames than its line gives.
    """
    for clip, listed in facts.items():
        found = len(source.frames[clip])
        if listed.frames not in (None, found):
            raise UserError(
                f'{title}: meta_info_file gives clip {clip} {listed.frames} frames, but {key} has {found}; '
                f'correct the line or complete the clip.'
            )


def check_listed_sizes(listed_in: str, facts: Mapping[str, ClipFacts], gt: FrameSource) -> None:
    """Compares the sizes, which are those of the ground truth, with the first frame of each clip.

    Args:
        listed_in: The list.
        facts: What is in it; all its clips are in the source.
        gt: The ground truth.

    Raises:
        UserError: The first clip of another size than its line gives.
    """
    for clip, listed in facts.items():
        check_listed_size(listed_in, clip, listed, gt.where(clip, 0), gt.header(clip, 0).size)


def check_listed_size(listed_in: str, clip: str, listed: ClipFacts, where: str, size: Size) -> None:
    """Compares the size that a list gives a clip with that of a frame of its ground truth; see `check_listed_sizes`."""
    if listed.size not in (None, size):
        raise UserError(
            f'{listed_in} gives clip {clip} {listed.size[0]}x{listed.size[1]} pixels, but {where} has '
            f'{size[0]}x{size[1]}; correct the line, or dataroot_gt where these are other clips.'
        )
