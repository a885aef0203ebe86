"""Shows a clip to networks that take no clip of its size or length: padded frames, sliding windows."""

from collections.abc import Callable

import torch
from torch import Tensor

from gsm_plugin.errors import UserError


def pad_frames(
    network: Callable[[Tensor], Tensor], scale: int, smallest_side: int = 1, multiple_of: int = 1
) -> Callable[[Tensor], Tensor]:
    """Lets a network see frames that are continued on the right and below by reflection, and cuts its output back.

    Args:
        network: Takes (b, t, c, h, w) and gives (b, t, c', h * scale, w * scale).
        scale: Its enlargement.
        smallest_side: Sides of fewer pixels are continued to so many (BasicVSR's flow network needs 64).
        multiple_of: Sides are continued to the next multiple (EDVR needs 4).

    Returns:
        A callable of the same kind for frames of any size.
    """

    def run(clip: Tensor) -> Tensor:
        height, width = clip.shape[-2:]
        for axis in (-2, -1):
            clip = _continued(clip, axis, smallest_side, multiple_of)
        return network(clip)[..., : height * scale, : width * scale]

    return run


def slide_window(network: Callable[[Tensor], Tensor], window: int) -> Callable[[Tensor], Tensor]:
    """Makes a network of clips from one that takes a window of frames and gives its centre frame, as EDVR does.

    Near the ends of the clip, frames that are missing on one side are taken from the other (BasicSR's
    `reflection_circle`, the rule of EDVR's test scripts).

    Args:
        network: Takes (b, window, c, h, w) and gives (b, c', H, W).
        window: Frames of a window, odd.

    Returns:
        A callable that takes (b, t, c, h, w) and gives (b, t, c', H, W). A clip that is shorter than a window is a
        `UserError`.
    """

    def run(clip: Tensor) -> Tensor:
        frames = clip.shape[1]
        if frames < window:
            raise UserError(f'A clip has {frames} frames, but the network sees {window} at once; give a longer clip.')
        return torch.stack([network(clip[:, _window_around(i, frames, window)]) for i in range(frames)], 1)

    return run


def lengthen(network: Callable[[Tensor], Tensor], least: int) -> Callable[[Tensor], Tensor]:
    """Lets a network see short clips that are continued by their reflection in time, and cuts its output back.

    Args:
        network: Takes (b, t, c, h, w) and gives t frames.
        least: Clips of fewer frames are continued to so many; a single frame is repeated.

    Returns:
        A callable of the same kind for clips of any length.
    """

    def run(clip: Tensor) -> Tensor:
        return network(_continued(clip, 1, least, 1))[:, : clip.shape[1]]

    return run


def _window_around(centre: int, frames: int, window: int) -> list[int]:
    reach, last = window // 2, frames - 1
    places = range(centre - reach, centre + reach + 1)
    return [
        centre + reach - place if place < 0 else centre - reach + last - place if place > last else place
        for place in places
    ]


def _continued(clip: Tensor, axis: int, smallest: int, multiple: int) -> Tensor:
    side = clip.shape[axis]
    wanted = -(-max(side, smallest) // multiple) * multiple
    if wanted == side:
        return clip
    # Reflected as often as it takes, the border pixel once; a single pixel is repeated.
    period = max(1, 2 * side - 2)
    place = torch.arange(wanted, device=clip.device) % period
    return clip.index_select(axis, torch.where(place < side, place, period - place))
