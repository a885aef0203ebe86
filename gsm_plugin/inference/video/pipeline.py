"""Decoding, network and encoding side by side: three threads a device with bounded queues between them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.inference.output_check import frames_not_finite
from gsm_plugin.inference.video.channel import Channel, Stopped
from gsm_plugin.inference.video.colour import from_rgb, to_rgb
from gsm_plugin.inference.video.facts import Picture
from gsm_plugin.inference.video.images import FolderReading
from gsm_plugin.inference.video.layout import Layout
from gsm_plugin.inference.video.memory import is_out_of_memory
from gsm_plugin.inference.video.pipeline_memory import PIXELS_OF_GPU
from gsm_plugin.inference.video.reading import Reading
from gsm_plugin.inference.video.windows import Segment, Window

# Frames that a CPU turns into planes at once.
_CHUNK = 4


class MemoryEndedError(UserError):
    """Memory was used up; smaller windows or tiles may fit."""


class Network(Protocol):
    """What enlarges frames: `gsm_plugin.inference.restorer.Restorer`, or anything alike.

    Attributes:
        scale: Enlargement.
        device: Where it computes.
        precision: In which it computes.
        name: What people call it.
    """

    scale: int
    device: torch.device
    precision: str
    name: str

    def restore(self, clip: Tensor) -> Tensor:
        """Takes (b, t, 3, h, w), float32, nominally in [0, 1], and gives (b, t, 3, h * scale, w * scale)."""

    def with_precision(self, precision: str) -> 'Network':
        """The same in another precision; asked of networks alone that are not in fp32."""


class Sink(Protocol):
    """Where a segment's frames go."""

    def write(self, segment: Segment, frames: Iterator[tuple[int, list[np.ndarray]]]) -> None:
        """Takes a segment's frames, by their number in the film, and makes it finished."""

    def holds(self, segment: Segment) -> bool:
        """Whether all of a segment that was finished is still there."""


Treatment = Callable[[Tensor, Tensor], Tensor]
"""Makes what is written of what the network saw and gave, both (t, 3, h, w)."""


@dataclass(frozen=True)
class Work:
    """What every device does.

    Attributes:
        reading: The input.
        layout: What samples of the output mean.
        size: Rows and columns of the output.
        sink: Where the output goes.
        treat: What happens between network and output.
        waiting: Frames that wait for the encoder at most.
        around_window: Entered with a network and the frames of its window while the network works on it.
        on_frames: Called with a number of frames that are written.
        on_window: Called with segment, number of the first frame, what the network saw and what it gave.
        on_stage: Called with the name of a stage and the seconds that it worked.
    """

    reading: Reading | FolderReading
    layout: Layout
    size: tuple[int, int]
    sink: Sink
    treat: Treatment
    waiting: int
    around_window: Callable[[Network, int], AbstractContextManager[None]]
    on_frames: Callable[[int], None]
    on_window: Callable[[Segment, int, Tensor, Tensor], None]
    on_stage: Callable[[str, float], None]


def run_on_devices(work: Work, networks: Sequence[Network], segments: Sequence[Segment]) -> None:
    """Lets every device take the next segment when it is free, until all are finished.

    Raises:
        UserError: Reading, the network or writing fails in a way that a user can cure.
    """
    waiting, lock, stop = deque(segments), threading.Lock(), threading.Event()

    def next_segments() -> Iterator[Segment]:
        while not stop.is_set():
            with lock:
                if not waiting:
                    return
                segment = waiting.popleft()
            yield segment

    if len(networks) == 1:
        _run(work, networks[0], next_segments(), stop)
        return
    with ThreadPoolExecutor(len(networks)) as pool:
        try:
            runs = [pool.submit(_run, work, network, next_segments(), stop) for network in networks]
            errors = [error for run in runs if (error := run.exception()) is not None]
        except BaseException:
            stop.set()
            raise
    if errors:
        raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])


def _run(work: Work, network: Network, segments: Iterator[Segment], stop: threading.Event) -> None:
    clips, outputs = Channel(1, stop), Channel(max(1, work.waiting // _chunk(work, network)), stop)
    with ThreadPoolExecutor(2) as pool:
        try:
            threads = [pool.submit(_guarded, stop, _read, work, segments, clips)]
            threads.append(pool.submit(_guarded, stop, _write, work, outputs))
            for segment, window, planes in clips:
                with work.around_window(network, len(planes[0])), _current(network.device):
                    _restore(work, network, segment, window, planes, outputs)
            outputs.close()
            for thread in threads:
                thread.result()
        except Stopped:
            # One of the threads has failed; its error is the one to hear.
            for thread in threads:
                thread.result()
            raise
        except BaseException:
            stop.set()
            raise


def _current(device: torch.device) -> AbstractContextManager:
    """Makes a GPU the one on which this thread computes."""
    return torch.cuda.device(device) if device.type == 'cuda' else nullcontext()


def _guarded(stop: threading.Event, run: Callable, *arguments: object) -> None:
    try:
        run(*arguments)
    except Stopped:
        pass
    except BaseException:
        stop.set()
        raise


def _read(work: Work, segments: Iterator[Segment], clips: Channel) -> None:
    pictures, number = work.reading.pictures(), 0
    held: deque[tuple[int, Picture]] = deque()
    began = time.perf_counter()
    for segment in segments:
        for window in segment.windows:
            while number < window.stop:
                picture = next(pictures, None)
                if picture is None:
                    raise UserError(f'{work.reading.facts.path} has changed while it was read; run again.')
                if number >= window.start:
                    held.append((number, picture))
                number += 1
            while held and held[0][0] < window.start:
                held.popleft()
            seen = [picture for place, picture in held if place < window.stop]
            planes = _stacked(seen)
            work.on_stage('decode', time.perf_counter() - began)
            clips.put((segment, window, planes))
            began = time.perf_counter()
    clips.close()


def _stacked(pictures: list[Picture]) -> list[Tensor]:
    stacks = [np.stack([picture.planes[i] for picture in pictures]) for i in range(len(pictures[0].planes))]
    return [torch.from_numpy(stack if stack.dtype == np.uint8 else stack.astype(np.int32)) for stack in stacks]


class _Output:
    """Planes of a few frames, on their way from a device to the host.

    A GPU goes on with the next ones meanwhile.

    Args:
        segment: Where the frames are from.
        number: Number of the first one in the film.
        planes: (t, h, w) each, on any device.
    """

    def __init__(self, segment: Segment, number: int, planes: Sequence[Tensor]):
        self.segment, self._number, self._arrived = segment, number, None
        if not planes[0].is_cuda:
            self._planes = [plane.cpu() for plane in planes]
            return
        self._planes = [torch.empty(plane.shape, dtype=plane.dtype, pin_memory=True) for plane in planes]
        for host, plane in zip(self._planes, planes, strict=True):
            host.copy_(plane, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(planes[0].device))

    def frames(self, dtype: type[np.generic]) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Each frame's number and planes, once they are here."""
        if self._arrived is not None:
            self._arrived.synchronize()
        planes = [plane.numpy().astype(dtype, copy=False) for plane in self._planes]
        for place in range(len(planes[0])):
            yield self._number + place, [plane[place] for plane in planes]


@torch.inference_mode()
def _restore(
    work: Work, network: Network, segment: Segment, window: Window, planes: list[Tensor], outputs: Channel
) -> None:
    began = time.perf_counter()
    clip = to_rgb([plane.to(network.device) for plane in planes], work.reading.facts.layout)
    output = _checked(_restored(network, clip), clip, network)
    kept = slice(window.keep_start - window.start, window.keep_stop - window.start)
    seen, output = clip[kept], output[kept]
    done, chunk = time.perf_counter() - began, _chunk(work, network)
    for start in range(0, len(output), chunk):
        began = time.perf_counter()
        part = slice(start, start + chunk)
        # what was put together from tiles is on the CPU
        given = output[part].to(seen.device)
        treated = work.treat(seen[part], given)
        work.on_window(segment, window.keep_start + start, seen[part], given)
        written = _Output(segment, window.keep_start + start, from_rgb(treated, work.layout))
        done += time.perf_counter() - began
        outputs.put(written)
    work.on_stage('network', done)


def _chunk(work: Work, network: Network) -> int:
    rows, columns = work.size
    return max(1, PIXELS_OF_GPU // (rows * columns)) if network.device.type == 'cuda' else _CHUNK


def _restored(network: Network, clip: Tensor) -> Tensor:
    try:
        return network.restore(clip[None])[0]
    except (RuntimeError, MemoryError) as error:
        if 'not implemented for' in str(error):
            raise UserError(
                f'{network.name} has a part that {network.device} does not compute in {network.precision} ({error}); '
                f'give --precision fp32.'
            ) from error
        if not is_out_of_memory(error):
            raise
        frames, _, height, width = clip.shape
        raise MemoryEndedError(
            f'{network.device} has too little memory for {frames} frames of {width}x{height} at once; give --memory '
            f'with what is free, for windows and tiles that fit, or --retry-smaller.'
        ) from error


def _checked(output: Tensor, clip: Tensor, network: Network) -> Tensor:
    frames, _, height, width = clip.shape
    expected = (frames, 3, height * network.scale, width * network.scale)
    if tuple(output.shape) != expected:
        raise UserError(f'{network.name} gave {tuple(output.shape)} instead of {expected}; its scale does not match.')
    if frames_not_finite(output):
        cure = 'other weights' if network.precision == 'fp32' else '--precision fp32'
        raise UserError(f'{network.name} gave values that are no numbers in {network.precision}; give {cure}.')
    return output


def _write(work: Work, outputs: Channel) -> None:
    incoming = iter(outputs)
    ahead: _Output | None = next(incoming, None)

    def of_segment(segment: Segment) -> Iterator[tuple[int, list[np.ndarray]]]:
        nonlocal ahead
        while ahead is not None and ahead.segment is segment:
            for number, planes in ahead.frames(work.layout.dtype):
                yield number, planes
                work.on_frames(1)
            ahead = next(incoming, None)

    while ahead is not None:
        work.sink.write(ahead.segment, of_segment(ahead.segment))
