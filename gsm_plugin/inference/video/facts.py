"""What is known of a film or a folder of images before its frames are read."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from gsm_plugin.inference.video.layout import Layout


@dataclass(frozen=True)
class Picture:
    """A frame as the file has it.

    Attributes:
        planes: One (h, w) a plane, uint8 or uint16.
        pts: Time stamp in the film's time base; images count from 0.
        duration: In the same unit; 0 where the film does not tell.
    """

    planes: tuple[np.ndarray, ...]
    pts: int
    duration: int = 0


@dataclass(frozen=True)
class Facts:
    """What a film or a folder of images is.

    Attributes:
        path: The file or folder.
        height: Rows of a frame.
        width: Columns of a frame.
        layout: What its samples mean.
        time_base: Seconds per unit of time stamps.
        rate: Frames per second, on average.
        codec: Name of the codec, or of the kind of image.
        primaries: Number of ITU-T H.273; 2 for unspecified.
        transfer: Number of ITU-T H.273; 2 for unspecified.
        pixel_aspect: Width over height of a pixel.
        display_matrix: Nine numbers that turn the picture for display, as files have them; empty for none.
        rotation: Degrees by which they turn it counterclockwise.
        mastering: Options of the encoder x265 that carry HDR metadata.
        start: Time stamp with which the film starts, in seconds.
        duration: Seconds, as the header says; None where it does not.
        names: Names of the images; empty for films.
        transparent: Whether there is a plane of opacity, which is not read.
        bit_rate: Bits a second, as far as the file tells.
        frames: Number of frames, as far as the file tells; 0 where it does not.
    """

    path: Path
    height: int
    width: int
    layout: Layout
    time_base: Fraction
    rate: Fraction
    codec: str
    primaries: int = 2
    transfer: int = 2
    pixel_aspect: Fraction = Fraction(1)
    display_matrix: tuple[int, ...] = ()
    rotation: int = 0
    mastering: tuple[str, ...] = ()
    start: float = 0.0
    duration: float | None = None
    names: tuple[str, ...] = field(default=(), repr=False)
    transparent: bool = False
    bit_rate: int | None = None
    frames: int = 0

    @property
    def is_film(self) -> bool:
        """Whether it is a film; otherwise a folder of images."""
        return not self.names

    @property
    def number_of_frames(self) -> float:
        """How many frames there are, by the names of images or the header of the film; infinite where it is silent."""
        if self.names:
            return len(self.names)
        if self.frames:
            return self.frames
        return math.inf if self.duration is None else math.ceil(self.duration * float(self.rate))

    @property
    def is_hdr(self) -> bool:
        """Whether its transfer function is PQ or HLG."""
        return self.transfer in (16, 18)

    @property
    def bits_per_pixel(self) -> float | None:
        """Bits for each pixel of each frame, as far as the file tells."""
        return self.bit_rate / float(self.rate * self.width * self.height) if self.bit_rate else None
