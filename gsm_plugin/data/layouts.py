"""How the published data sets look on the disk: names of clips and frames, lengths, sizes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gsm_plugin.data.clip_names import ClipFacts
from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.errors import UserError

# BasicSR's val_partition: clips of the REDS folder that its REDS sets leave out of training.
REDS_HELD_OUT = {
    'REDS4': tuple(clip for clip, _ in PROTOCOLS['reds4'].clips),
    'official': tuple(f'{clip:03d}' for clip in range(240, 270)),
}


@dataclass(frozen=True)
class Layout:
    """A data set as a folder of clips.

    Attributes:
        name: What the command calls it.
        editions: The clips of each form in which it is handed around; empty where any clips will do.
        clip_pattern: What every clip's path below the root looks like.
        clip_form: The same for people.
        frame_name: File name of frame number i of a clip, or None where any image names will do.
        any_clip: What is known of clips that no edition lists.
        held_out: Clips that are not to be trained on.
    """

    name: str
    editions: tuple[dict[str, ClipFacts], ...] = ()
    clip_pattern: str = '.+'
    clip_form: str = 'any'
    frame_name: Callable[[int], str] | None = None
    any_clip: ClipFacts = field(default_factory=ClipFacts)
    held_out: tuple[str, ...] = ()

    def is_clip(self, name: str) -> bool:
        """Whether a folder of this path below the root may be a clip."""
        return re.fullmatch(self.clip_pattern, name) is not None

    def facts_of(self, name: str) -> ClipFacts:
        """What the layout knows of a clip."""
        return next((edition[name] for edition in self.editions if name in edition), self.any_clip)


def _reds_frame(number: int) -> str:
    return f'{number:08d}.png'


def _vimeo_frame(number: int) -> str:
    return f'im{number + 1}.png'


_REDS_CLIP = ClipFacts(100, (720, 1280))
_VIMEO = PROTOCOLS['vimeo90k-t']
_VID4_SIZES = {'calendar': (576, 720), 'city': (576, 704), 'foliage': (480, 720), 'walk': (480, 720)}
_VID4 = {clip: ClipFacts(frames, _VID4_SIZES[clip]) for clip, frames in PROTOCOLS['vid4'].clips}
# Copies of it differ in the number of pixels that were cut from the sides, so no size is given.
_UDM10 = {clip: ClipFacts(frames) for clip, frames in PROTOCOLS['udm10'].clips}
_UDM10_CLIP = next(iter(_UDM10.values()))

LAYOUTS = (
    Layout(
        'reds',
        # The training clips with the 30 of validation beside them, renamed to 240 ... 269, or without.
        editions=tuple({f'{clip:03d}': _REDS_CLIP for clip in range(count)} for count in (270, 240)),
        clip_pattern=r'\d{3}',
        clip_form='000',
        frame_name=_reds_frame,
        any_clip=_REDS_CLIP,
        held_out=REDS_HELD_OUT['REDS4'],
    ),
    Layout(
        'reds4',
        editions=(dict.fromkeys(REDS_HELD_OUT['REDS4'], _REDS_CLIP),),
        clip_pattern=r'\d{3}',
        clip_form='000',
        frame_name=_reds_frame,
        any_clip=_REDS_CLIP,
    ),
    Layout(
        'vimeo90k',
        clip_pattern=r'\d{5}/\d{4}',
        clip_form='00001/0001',
        frame_name=_vimeo_frame,
        any_clip=ClipFacts(_VIMEO.clip_frames, _VIMEO.gt_size),
    ),
    Layout('vid4', editions=(_VID4,), clip_pattern=r'[^/]+', clip_form='calendar'),
    Layout(
        'udm10',
        editions=(_UDM10, {f'{clip:03d}': _UDM10_CLIP for clip in range(10)}),
        clip_pattern=r'[^/]+',
        clip_form='archpeople',
        any_clip=_UDM10_CLIP,
    ),
    Layout('clips'),
)


def find_layout(name: str) -> Layout:
    """Finds a layout by its name, in any case.

    Raises:
        UserError: No layout has that name.
    """
    known = {layout.name: layout for layout in LAYOUTS}
    if name.lower() not in known:
        raise UserError(
            f'the layout {name!r} is not known; name one of {", ".join(known)}, of which clips takes any folders.'
        )
    return known[name.lower()]
