"""What is wanted of one input."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gsm_plugin.inference.video.cuts import Cuts
from gsm_plugin.inference.video.encoding import Wishes

WINDOW, CONTEXT, SEGMENT_FRAMES = 32, 8, 240
"""Frames that the network sees at once; frames of them that it sees beyond those that are kept, on each side; frames
after which a segment is full."""


@dataclass(frozen=True)
class Request:
    """What is wanted of one input.

    Attributes:
        source: A film, or a folder of images.
        target: A film, or a folder for images.
        outscale: Enlargement of the output; None for the network's own.
        wishes: Of the encoder.
        cuts: How scenes are found.
        start: Seconds from the beginning; what lies before is left out.
        end: What lies from there on is left out; None for nothing.
        window: Frames that the network sees at once.
        context: See `plan_windows`.
        segment_frames: See `plan_segments`.
        deinterlace: Whether each pair of fields is made a whole frame.
        salvage: Whether what cannot be decoded is left out.
        rate: Frames per second of the output; None for those of the input.
        leave_out: Kinds or numbers of streams that are not copied.
        image_kind: Ending of images; None for that of the input, or png.
        beside: Whether the input stands beside the output.
        restart: Whether what an interrupted run left is thrown away.
        overwrite: Whether an output that is there is replaced.
        network: Fingerprint of the weights, and how they are used.
        code: Fingerprint of code of the user's own that was brought in; empty where none was.
        trained_on: What is known of their training.
        memory: Bytes that the network may take on a device; None for no such limit.
        fit: Whether windows and tiles are made so small that they fit into what is free.
        wanted: Window and context as they were asked for; None where memory made nothing smaller.
        tile: Side of the tiles that memory demands; None for those that the network has.
        retry_smaller: Whether an end of memory is answered by smaller windows and tiles.
        page: Page with a slider between before and after; None for none.
        images: Whether the output is a folder of images, whatever dots its name has.
    """

    source: Path
    target: Path
    outscale: float | None = None
    wishes: Wishes = field(default_factory=Wishes)
    cuts: Cuts = field(default_factory=Cuts)
    start: float = 0.0
    end: float | None = None
    window: int = WINDOW
    context: int = CONTEXT
    segment_frames: int = SEGMENT_FRAMES
    deinterlace: bool = False
    salvage: bool = False
    rate: Fraction | None = None
    leave_out: tuple[str, ...] = ()
    image_kind: str | None = None
    beside: bool = False
    restart: bool = False
    overwrite: bool = False
    network: str = ''
    code: str = ''
    trained_on: str = ''
    memory: int | None = None
    fit: bool = False
    wanted: str | None = None
    tile: int | None = None
    retry_smaller: bool = False
    page: Path | None = None
    images: bool = False

    @property
    def seconds(self) -> float:
        """How long the wanted part is at most; infinite where it goes to the end."""
        return math.inf if self.end is None else self.end - self.start

    @property
    def makes_film(self) -> bool:
        """Whether the output is a film; otherwise a folder."""
        return bool(self.target.suffix) and not self.images
