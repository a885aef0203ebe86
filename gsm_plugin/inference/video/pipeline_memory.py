"""What decoder, queues and encoder hold on the host beside the network."""

import os
from dataclasses import dataclass

from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.layout import Layout

# Frames that are decoded and wait: those of a window once as they were decoded, and once each stacked for this window,
# the next one, and the one that is in the queue.
_STACKS = 3
# Pixels that a GPU turns into planes at once: so many that it, not the CPU, has work to do.
PIXELS_OF_GPU = 2**24
# Colours of a frame in float RGB, as often as converting a chunk of frames holds them at once.
_CHUNK, _FLOAT_RGB, _COPIES = 4, 3 * 4, 4
# Frames that the encoder holds to look ahead and to refer to, and one in each of its threads; x264 takes half as many
# again as there are processors. And those that the decoder holds. Images are read and written one at a time.
_ENCODER, _DECODER, _IMAGES = 70 + 3 * (os.cpu_count() or 1) // 2, 20, 1
# What the allocator keeps for each thread, and what is imported on the way.
_KEPT = 128 << 20
# Frames of a window wait for the encoder together, so that the network can go on; no more of them than these bytes, but
# always a few.
_WAITING_BYTES, _FEWEST_WAITING = 512 << 20, 16


def bytes_written(layout: Layout, height: int, width: int) -> int:
    """Bytes of a frame that waits for the encoder."""
    return sum(rows * columns for rows, columns in layout.plane_shapes(height, width)) * _sample(layout)


def _sample(layout: Layout) -> int:
    """Bytes of a sample that waits for the encoder."""
    return 1 if layout.depth == 8 else 4


def frames_waiting(window: int, frame_bytes: float) -> int:
    """How many frames may wait for the encoder, of a window of so many and of so many bytes each."""
    return max(_FEWEST_WAITING, min(window, int(_WAITING_BYTES // frame_bytes)))


@dataclass(frozen=True)
class PipelineCost:
    """Bytes that are taken beside the network.

    Attributes:
        per_frame: For each frame of a window.
        fixed: Whatever the window.
        converted: For the few frames whose colours are converted at once, when the network has done its work.
        output: For each frame of a window that the network has given, where that is on the host.
        written: For each frame that waits for the encoder.
    """

    per_frame: float
    fixed: float
    converted: float
    output: float
    written: float

    @staticmethod
    def of(facts: Facts, scale: int, outscale: float, makes_film: bool) -> 'PipelineCost':
        """The cost for an input.

        Args:
            facts: The input.
            scale: Enlargement of the network.
            outscale: That of what is written.
            makes_film: Whether that is a film, and not images.
        """
        pixels = facts.height * facts.width
        written = pixels * outscale**2
        decoded, stacked = (1, 1) if facts.layout.depth == 8 else (2, 4)
        # Chroma at most as large as luma when it is decoded, and a quarter each when a film is written.
        held = 1.5 * _ENCODER if makes_film else 3 * _IMAGES
        return PipelineCost(
            per_frame=pixels * 3 * (decoded + _STACKS * stacked),
            fixed=_KEPT + pixels * 3 * decoded * (_DECODER if facts.is_film else _IMAGES) + written * held * decoded,
            converted=written * _CHUNK * _FLOAT_RGB * _COPIES,
            output=pixels * scale**2 * _FLOAT_RGB,
            # chroma as large as luma at most
            written=written * 3 * _sample(facts.layout),
        )

    def predict(self, frames: int, whole: bool, network: int | None = None) -> int:
        """Bytes on the host for windows of so many frames.

        Args:
            frames: How many.
            whole: Whether they are seen whole; tiles are put together on the host.
            network: What the network takes on the host, with the output of whole frames; None where it is elsewhere.
        """
        waiting = (1 + frames_waiting(frames, self.written)) * self.written
        output = frames * self.output
        held = self.fixed + waiting + frames * self.per_frame + (0 if whole else output)
        # either works, first the network and then what it leaves
        return round(held + max(network or 0, self.converted + (output if whole and network is not None else 0)))
