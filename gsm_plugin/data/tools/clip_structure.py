"""Which clips a data set has and which frames the clips have, against what its layout or a list says."""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from gsm_plugin.data.clip_names import ClipFacts
from gsm_plugin.data.layouts import Layout
from gsm_plugin.data.lq_gt_checks import check_same_names
from gsm_plugin.data.tools.clip_folders import ClipFolder
from gsm_plugin.errors import UserError


def expected_clips(
    layout: Layout, found: Collection[str], listed: dict[str, ClipFacts] | None, root: Path
) -> dict[str, ClipFacts]:
    """What the clips of a data set are to be.

    Args:
        layout: Its layout.
        found: The clips that are there; of the layout's editions, the one that fits them best is taken.
        listed: What a list says, which counts before the layout; None where there is none.
        root: The folder, for messages.

    Raises:
        UserError: None of the clips looks like one of the layout.
    """
    if listed is not None:
        return {clip: _with_defaults(facts, layout.facts_of(clip)) for clip, facts in listed.items()}
    fitting = [clip for clip in found if layout.is_clip(clip)]
    if not fitting:
        raise UserError(
            f'{root} has no clip like {layout.clip_form}, but {next(iter(found))}; '
            f'name the folder that holds the clips, or another layout than {layout.name}.'
        )
    if not layout.editions:
        return dict.fromkeys(fitting, layout.any_clip)
    return min(layout.editions, key=lambda edition: len(set(edition) ^ set(fitting)))


def _with_defaults(facts: ClipFacts, defaults: ClipFacts) -> ClipFacts:
    """The list's facts; where it gives none, those of the layout."""
    return replace(defaults, **{key: value for key, value in vars(facts).items() if value is not None})


def compare_clips(
    expected: Collection[str], found: dict[str, ClipFolder], root: Path, only_listed: bool
) -> Iterator[str]:
    """Names the clips that are missing, and those that should not be there unless only the listed ones count."""
    missing = [clip for clip in expected if clip not in found]
    if missing:
        yield f'clip {missing[0]} is missing in {root}{_and_more(missing)}; add it, or name what you have by --list.'
    extra = [clip for clip in found if clip not in expected]
    if extra and not only_listed:
        yield f'{root / extra[0]} is no clip of this data set{_and_more(extra)}; remove it, or name yours by --list.'


def compare_frames(layout: Layout, facts: ClipFacts, clip: ClipFolder, folder: Path) -> Iterator[str]:
    """Names the frames of a clip that are missing, that should not be there, and files that are no images."""
    for name in clip.others:
        yield f'{folder / name} is no image; remove it, since BasicSR takes every file of a clip for a frame.'
    if layout.frame_name is not None:
        count = len(clip.images) if facts.frames is None else facts.frames
        yield from _compare_names([layout.frame_name(i) for i in range(count)], clip.images, folder)
    elif facts.frames not in (None, len(clip.images)):
        yield f'{folder} has {len(clip.images)} frames, but should have {facts.frames}; copy the clip again.'
    else:
        yield from _find_gaps(clip.images, folder)


def compare_frame_names(lq: ClipFolder, gt: ClipFolder, lq_folder: Path, gt_folder: Path) -> Iterator[str]:
    """Names a frame that only LQ or only GT has; extensions may differ."""
    lq_stems, gt_stems = ([Path(name).stem for name in side.images] for side in (lq, gt))
    try:
        check_same_names('frame', lq_stems, gt_stems, str(lq_folder), str(gt_folder))
    except UserError as error:
        yield str(error)


def _compare_names(expected: list[str], found: list[str], folder: Path) -> Iterator[str]:
    missing = [name for name in expected if name not in set(found)]
    if missing:
        yield f'frame {missing[0]} is missing in {folder}{_and_more(missing)}; copy the clip again.'
    extra = [name for name in found if name not in set(expected)]
    if extra:
        yield (
            f'{folder / extra[0]} is no frame of this data set{_and_more(extra)}, whose frames are {expected[0]} to '
            f'{expected[-1]}; remove or rename it.'
        )


def _find_gaps(names: list[str], folder: Path) -> Iterator[str]:
    """Names a number that is left out, where the frames are numbered without regular steps."""
    digits = [re.findall(r'\d+', name.rsplit('.', 1)[0]) for name in names]
    if not all(digits):
        return
    numbers = {int(groups[-1]) for groups in digits}
    missing = sorted(set(range(min(numbers), max(numbers))) - numbers)
    if missing and 2 * len(missing) < len(numbers):
        yield f'frame number {missing[0]} is missing in {folder}{_and_more(missing)}; copy the clip again.'


def _and_more(items: list) -> str:
    return f' (and {len(items) - 1} more)' if len(items) > 1 else ''
