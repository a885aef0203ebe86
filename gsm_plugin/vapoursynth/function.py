"""The function `restore` of scripts for VapourSynth: frames are asked for one by one, the network sees windows."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
import vapoursynth as vs

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.windows import Window, plan_windows
from gsm_plugin.vapoursynth.planes import check_format, frames_to_array, write_frame
from gsm_plugin.vapoursynth.scenes import Scenes

if TYPE_CHECKING:
    from gsm_plugin.inference.restorer import Restorer

# A player steps back a little now and then.
_KEPT = 2


def restore(
    clip: vs.VideoNode,
    weights: Union[str, Path, 'Restorer'],
    device: str = 'auto',
    precision: str = 'auto',
    window: int = 32,
    context: int = 8,
    cuts: Sequence[int] | None = None,
    network: Mapping[str, object] | None = None,
    tile: Sequence[int] | None = None,
) -> vs.VideoNode:
    """Enlarges a clip by a network; frame for frame what `basicsr infer` gives for the same windows and cuts.

    Args:
        clip: RGB of 8 to 16 bits, half or float, of constant size and format.
        weights: A file of weights, a name of `basicsr weights list`, or a `Restorer`.
        device: See `Restorer.load`.
        precision: See `Restorer.load`.
        window: Frames that the network sees at once.
        context: Frames that it sees beyond those that are kept, on both sides.
        cuts: First frames of scenes; None reads the property `_SceneChangePrev` of frames, as `misc.SCDetect` sets it.
            Without it on the first frame, the clip is one scene.
        network: See `Restorer.load`.
        tile: See `Restorer.load`.

    Returns:
        A clip of the same format and length, `scale` times as large.

    Raises:
        UserError: The format or the windows cannot be, or see `Restorer.load`.
    """
    check_format(clip)
    # refused here, not at the first frame
    plan_windows(0, window + 1, window, context)
    if isinstance(weights, str | Path):
        # PyTorch, for which a mistake above does not wait
        from gsm_plugin.inference.restorer import Restorer

        restorer = Restorer.load(weights, device, precision, network, tile)
    else:
        restorer = weights
    frames = _Frames(clip, restorer, Scenes(clip, cuts), window, context)
    size = {'width': clip.width * restorer.scale, 'height': clip.height * restorer.scale}
    empty = clip.std.BlankClip(**size, keep=True)

    def frame(n: int, f: Sequence[vs.VideoFrame]) -> vs.VideoFrame:
        # the properties of the frame, such as its duration and colours
        output = f[0].copy()
        for name, value in f[1].props.items():
            output.props[name] = value
        write_frame(output, frames.frame(n))
        return output

    return empty.std.ModifyFrame([empty, clip], frame)


class _Frames:
    """Restored frames by number, of windows that are run when one of their frames is first asked for."""

    def __init__(self, clip: vs.VideoNode, restorer: 'Restorer', scenes: Scenes, window: int, context: int) -> None:
        self._clip, self._restorer, self._scenes = clip, restorer, scenes
        self._window, self._context = window, context
        self._done: OrderedDict[Window, np.ndarray] = OrderedDict()
        # VapourSynth asks from several threads
        self._lock = threading.Lock()

    def frame(self, n: int) -> np.ndarray:
        """Frame n, (h, w, 3), floats."""
        with self._lock:
            plan = plan_windows(*self._scenes.around(n), self._window, self._context)
            window = next(one for one in plan if one.keep_start <= n < one.keep_stop)
            if window not in self._done:
                self._done[window] = self._run(window)
                if len(self._done) > _KEPT:
                    self._done.popitem(last=False)
            return self._done[window][n - window.keep_start]

    def _run(self, window: Window) -> np.ndarray:
        seen = frames_to_array(self._clip, window.start, window.stop)
        if not np.isfinite(seen).all():
            raise UserError(f'Frames {window.start} to {window.stop - 1} have values that are not finite; patch them.')
        restored = np.asarray(self._restorer(seen))
        return restored[window.keep_start - window.start : window.keep_stop - window.start]
