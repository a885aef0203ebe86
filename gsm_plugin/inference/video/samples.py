"""A few frames before and after, kept while a job runs, and the page with a slider between them."""

import base64
import html
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from gsm_plugin.files import write_whole
from gsm_plugin.inference.video.treatment import resized
from gsm_plugin.inference.video.windows import Segment

_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 92)
_MOST = 6


@dataclass(frozen=True)
class Sample:
    """A frame, as two JPEGs of one size.

    Attributes:
        number: Its number in the output.
        before: The input, enlarged by bicubic interpolation.
        after: The output.
        size: Rows and columns.
    """

    number: int
    before: bytes
    after: bytes
    size: tuple[int, int]


def sample_numbers(segments: Sequence[Segment], most: int = _MOST) -> frozenset[int]:
    """Numbers of frames to show: the middles of scenes, spread over the film."""
    scenes: dict[int, list[Segment]] = {}
    for segment in segments:
        scenes.setdefault(segment.scene, []).append(segment)
    middles = [(parts[0].start + parts[-1].stop - 1) // 2 for parts in scenes.values()]
    if len(middles) == 1:
        first, last = segments[0].start, segments[-1].stop
        middles = [first + (last - first) * (2 * i + 1) // 6 for i in range(3)]
    step = max(1, -(-len(middles) // most))
    return frozenset(middles[::step])


@dataclass
class Samples:
    """Keeps the frames of wanted numbers; several threads may add.

    Attributes:
        numbers: Numbers of the wanted frames.
    """

    numbers: frozenset[int]
    _kept: dict[int, Sample] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, segment: Segment, number: int, seen: Tensor, output: Tensor) -> None:
        """Takes frames `number` and those after it; see `Work.on_window`."""
        for place in range(len(output)):
            if number + place in self.numbers:
                after = output[place : place + 1]
                before = resized(seen[place : place + 1].to(after.device), *after.shape[-2:])
                sample = Sample(number + place, _jpeg(before), _jpeg(after), (after.shape[-2], after.shape[-1]))
                with self._lock:
                    self._kept[number + place] = sample

    def kept(self) -> list[Sample]:
        """What was kept, in order."""
        return [self._kept[number] for number in sorted(self._kept)]


def write_page(path: Path, title: str, samples: Sequence[Sample], captions: Sequence[str]) -> None:
    """Writes a page that needs no other file: each frame with a slider between before and after.

    A folder that is missing is made.

    Args:
        path: The page.
        title: Its title.
        samples: The frames.
        captions: A line for each.
    """
    figures = ''.join(_figure(sample, caption) for sample, caption in zip(samples, captions, strict=True))
    page = _PAGE.replace('{title}', html.escape(title)).replace('{figures}', figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of a film need not be text
    write_whole(path, page.encode(errors='backslashreplace'))


def _figure(sample: Sample, caption: str) -> str:
    before, after = (base64.b64encode(content).decode() for content in (sample.before, sample.after))
    height, width = sample.size
    return _FIGURE.format(before=before, after=after, width=width, height=height, caption=html.escape(caption))


def _jpeg(frame: Tensor) -> bytes:
    image = (frame[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return cv2.imencode('.jpg', np.ascontiguousarray(image[..., ::-1]), list(_QUALITY))[1].tobytes()


_FIGURE = """<figure style="--at:50%">
<div class="pair" style="aspect-ratio:{width}/{height};max-width:{width}px">
<img alt="input, enlarged by bicubic interpolation" src="data:image/jpeg;base64,{before}">
<img class="after" alt="output" src="data:image/jpeg;base64,{after}">
<span class="line"></span><b class="left">input</b><b class="right">output</b>
<input type="range" min="0" max="100" value="50" step="0.1" aria-label="where input ends and output begins">
</div><figcaption>{caption}</figcaption></figure>
"""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body { margin: 2rem auto; max-width: 1400px; padding: 0 1rem; font: 16px system-ui, sans-serif }
body { background: #16181c; color: #e6e6e6 }
figure { margin: 0 0 2.5rem }
figcaption { margin-top: .5rem; color: #a9b0bb }
.pair { position: relative; overflow: hidden; width: 100% }
.pair img { position: absolute; inset: 0; width: 100%; height: 100%; display: block }
.after { clip-path: inset(0 0 0 var(--at)) }
.line { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: #fff }
.pair b { position: absolute; top: .6rem; padding: .1rem .5rem; background: #000a; border-radius: .3rem }
.left { left: .6rem }
.right { right: .6rem }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0 }
.pair input { opacity: 0; cursor: ew-resize }
.pair:focus-within { outline: 2px solid #6ea8fe }
</style>
<h1>{title}</h1>
<p>Drag over a picture, or move the line with the arrow keys.</p>
{figures}<script>
for (const range of document.querySelectorAll('input'))
  range.addEventListener('input', () => range.closest('figure').style.setProperty('--at', range.value + '%'))
</script>
</html>
"""
