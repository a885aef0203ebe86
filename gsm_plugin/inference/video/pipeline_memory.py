"""What decoder, queues and encoder hold on the host beside the network."""

from dataclasses import dataclass

from gsm_plugin.inference.video.facts import Facts

# Frames that are decoded and wait: those of a window once as they were decoded, and once each stacked for this window,
# the next one, and the one that is in the queue.
_STACKS = 3
# Colours of a frame in float RGB, as often as converting a chunk of frames holds them at once.
_CHUNK, _FLOAT_RGB, _COPIES = 4, 3 * 4, 4
# Frames that wait for the encoder, and those that it holds to look ahead and to refer to.
_WAITING, _ENCODER = 17, 70
_DECODER = 20


@dataclass(frozen=True)
class PipelineCost:
    """Bytes that are taken beside the network: `per_frame * frames + fixed`, and `joined` a frame where tiles are put
    together on the host."""

    per_frame: float
    fixed: float
    joined: float

    @staticmethod
    def of(facts: Facts, scale: int, outscale: float) -> 'PipelineCost':
        """The cost for an input.

        Args:
            facts: The input.
            scale: Enlargement of the network.
            outscale: That of what is written.
        """
        pixels = facts.height * facts.width
        written = pixels * outscale**2
        decoded, stacked = (1, 1) if facts.layout.depth == 8 else (2, 4)
        # Chroma at most as large as luma when it is decoded, and a quarter each when it is written.
        return PipelineCost(
            per_frame=pixels * 3 * (decoded + _STACKS * stacked),
            fixed=pixels * 3 * decoded * _DECODER
            + written * (_CHUNK * _FLOAT_RGB * _COPIES + (_WAITING + _ENCODER) * 1.5 * decoded),
            joined=pixels * scale**2 * _FLOAT_RGB,
        )

    def predict(self, frames: int, whole: bool) -> int:
        """Bytes for windows of so many frames, seen whole or in tiles."""
        return round(self.fixed + frames * (self.per_frame + (0 if whole else self.joined)))
