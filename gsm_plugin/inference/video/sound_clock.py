"""Time stamps of copied sound in samples, where its old container counts coarser; as FFmpeg's `av_rescale_delta`.

Matroska counts thousandths of a second. With its time stamps, packets of 1024 samples would last 1014 and 1015 in MP4,
and FFmpeg 9 cuts off what the last one seems to lack.
"""

import math
from fractions import Fraction

import av

from gsm_plugin.inference.video.opening import time_base_of


class SoundClock:
    """Follows the packets of one stream, which begin where the one before ends, unless the container says otherwise.

    Args:
        rate: Samples per second.
        samples: Of a packet.
    """

    def __init__(self, rate: int, samples: int) -> None:
        self._rate, self._samples = rate, samples
        self._next: int | None = None

    def restamp(self, packet: av.Packet) -> None:
        """Gives a packet that has a time stamp one in samples, within half a unit of its own; its duration too."""
        if packet.pts is None:
            return
        unit = time_base_of(packet) * self._rate
        least, most = math.floor((packet.pts - Fraction(1, 2)) * unit), math.ceil((packet.pts + Fraction(1, 2)) * unit)
        begin = round(packet.pts * unit)
        if self._next is not None and abs(self._next - begin) <= 3 * (most - least) / 2:
            begin = min(max(self._next, least), most)
        told = (packet.duration or 0) * unit
        # The last packet may be told to be shorter, since what fills it up is not to be heard.
        lasts = self._samples if not told or abs(told - self._samples) <= unit else round(told)
        packet.pts = packet.dts = begin
        packet.duration, packet.time_base = lasts, Fraction(1, self._rate)
        self._next = begin + lasts


def sound_clock(source: av.stream.Stream, target: av.stream.Stream) -> SoundClock | None:
    """The clock of a copied stream; None where packets of sound differ in length, or the target counts no finer."""
    if not isinstance(source, av.AudioStream) or source.codec_context is None:
        return None
    context = source.codec_context
    coarse = time_base_of(source) > time_base_of(target)
    return SoundClock(context.sample_rate, context.frame_size) if coarse and context.frame_size else None
