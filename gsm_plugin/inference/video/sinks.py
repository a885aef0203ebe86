"""Where the frames of a segment go: into a file of encoded packets, or into images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsm_plugin.files import write_whole
from gsm_plugin.inference.video.encoding import Encoder
from gsm_plugin.inference.video.images import ImageKind
from gsm_plugin.inference.video.manifest import Workplace
from gsm_plugin.inference.video.packet_file import is_whole, write_packets
from gsm_plugin.inference.video.windows import Segment

Frames = Iterator[tuple[int, list[np.ndarray]]]


@dataclass(frozen=True)
class EncodedSegments:
    """Encodes each segment into a file of its own.

    Attributes:
        workplace: Where the files are.
        encoder: What encodes.
        stamps: Time stamps of the output's frames.
        global_header: See `Encoder.configure`.
    """

    workplace: Workplace
    encoder: Encoder
    stamps: Sequence[int]
    global_header: bool

    def write(self, segment: Segment, frames: Frames) -> None:
        """Encodes a segment; its file is there when it is whole."""
        encoded = (self.encoder.frame(planes, self.stamps[number]) for number, planes in frames)
        write_packets(self.workplace.segment(segment.number), self.encoder.encode(encoded, self.global_header))

    def holds(self, segment: Segment) -> bool:
        """Whether the file is as it was written."""
        return is_whole(self.workplace.segment(segment.number))


@dataclass(frozen=True)
class ImageSegments:
    """Writes each frame as an image.

    Attributes:
        workplace: Where it is noted which segments are whole.
        folder: Where the images go.
        kind: Kind of image.
        stems: Names of the images, without ending.
    """

    workplace: Workplace
    folder: Path
    kind: ImageKind
    stems: Sequence[str]

    def write(self, segment: Segment, frames: Frames) -> None:
        """Writes the images of a segment, and then notes that it is whole."""
        for number, planes in frames:
            self.kind.write(self._image(number), planes)
        write_whole(self.workplace.segment(segment.number), b'')

    def holds(self, segment: Segment) -> bool:
        """Whether its images are there."""
        return all(self._image(number).is_file() for number in range(segment.start, segment.stop))

    def _image(self, number: int) -> Path:
        return self.folder / f'{self.stems[number]}{self.kind.suffix}'
