"""How a network is shown clips that it would not take as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from gsm_plugin.inference.fitting import lengthen, pad_frames, slide_window
from gsm_plugin.inference.flipping import average_over_views, average_with_reversed

Run = Callable[[Tensor], Tensor]
TILE_OVERLAP = (2, 50, 50)
# Recurrent networks carry mistakes along, so on noisy films longer clips are worse. GSM sees a few frames around each,
# so that longer clips only spare it the frames by which they overlap.
# A GPU with room for them is shown most scenes whole, about as many as the pieces have in which films are written.
_FRAMES_AT_ONCE, _FRAMES_AT_ONCE_OF_GSM, _FRAMES_OF_GSM_WITH_ROOM = 32, 96, 320


@dataclass(frozen=True)
class Handling:
    """What is done to clips before a network sees them, and to its output.

    Attributes:
        smallest_side: See `pad_frames`.
        multiple_of: See `pad_frames`.
        window: See `slide_window`; None for networks that take clips.
        least_frames: See `lengthen`.
        flip_seq: See `average_with_reversed`.
        self_ensemble: See `average_over_views`.
        tile: Frames, rows and columns of a tile in LQ pixels (`run_tiled`); None takes clips whole.
        tile_overlap: By how many of each tiles overlap.
        tile_rule: How they are joined; see `list_axes`.
        frames_at_once: How many frames of a film are shown at once, where nobody says otherwise.
        frames_with_room: The same on a GPU whose memory is planned.
    """

    smallest_side: int = 1
    multiple_of: int = 1
    window: int | None = None
    least_frames: int = 1
    flip_seq: bool = False
    self_ensemble: bool = False
    tile: Sequence[int] | None = None
    tile_overlap: Sequence[int] = TILE_OVERLAP
    tile_rule: str = 'published'
    frames_at_once: int = _FRAMES_AT_ONCE
    frames_with_room: int = _FRAMES_AT_ONCE

    def around(self, network: Run, scale: int) -> Run:
        """A network of clips of any size and length, from one that enlarges by a factor; tiles are not made here."""
        run = network
        if self.window is not None:
            run = slide_window(run, self.window)
        if self.least_frames > 1:
            run = lengthen(run, self.least_frames)
        if (self.smallest_side, self.multiple_of) != (1, 1):
            run = pad_frames(run, scale, self.smallest_side, self.multiple_of)
        if self.flip_seq:
            run = average_with_reversed(run)
        return average_over_views(run) if self.self_ensemble else run

    def sentences(self) -> list[str]:
        """What is done, in words."""
        done = []
        if self.smallest_side > 1:
            done.append(f'sides of fewer than {self.smallest_side} pixels are continued by reflection')
        if self.multiple_of > 1:
            done.append(f'sides are continued to multiples of {self.multiple_of}')
        if self.window is not None:
            done.append(f'each frame is made from a window of {self.window}')
        if self.least_frames > 1:
            done.append(f'clips of fewer than {self.least_frames} frames are continued by reflection in time')
        if self.flip_seq:
            done.append('each clip is followed by its reverse, and both outputs are averaged')
        if self.self_ensemble:
            done.append('the outputs for eight flips and rotations are averaged')
        if self.tile is not None:
            sizes = f'{_join(self.tile)} frames, rows and columns overlap by {_join(self.tile_overlap)}'
            done.append(f'tiles of {sizes}, {self.tile_rule}')
        return done


def handling_of(network_g: dict) -> Handling:
    """What networks of BasicSR need.

    Args:
        network_g: Type and arguments of the network.
    """
    kind = network_g.get('type')
    if kind in ('BasicVSR', 'BasicVSRPlusPlus', 'IconVSR'):
        # the flow network halves frames five times; BasicVSR++ works on quarters of frames that are not small already
        side = 64 if network_g.get('is_low_res_input', True) else 256
        multiple = 1 if network_g.get('is_low_res_input', True) else 4
        least = 2 * network_g.get('temporal_padding', 2) + 1 if kind == 'IconVSR' else 2
        return Handling(smallest_side=side, multiple_of=multiple, least_frames=least)
    if kind == 'EDVR':
        window = network_g.get('num_frame', 5)
        return Handling(multiple_of=16 if network_g.get('hr_in') else 4, window=window, least_frames=window)
    if kind == 'GSMamba':
        return Handling(frames_at_once=_FRAMES_AT_ONCE_OF_GSM, frames_with_room=_FRAMES_OF_GSM_WITH_ROOM)
    return Handling()


def _join(sides: Sequence[int]) -> str:
    return 'x'.join(map(str, sides))
