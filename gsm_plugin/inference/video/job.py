"""One input and one output: checked, planned, run, joined."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import av
import torch

from gsm_plugin.inference.video.checking import check_request
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.fidelity import compression_warning
from gsm_plugin.inference.video.images import FolderReading
from gsm_plugin.inference.video.manifest import Workplace, film_fingerprint, opened_workplace
from gsm_plugin.inference.video.outputs import FilmOutput, FolderOutput, plan_film, plan_folder
from gsm_plugin.inference.video.pipeline import Network, Sink, Work, run_on_devices
from gsm_plugin.inference.video.pipeline_memory import bytes_written, frames_waiting
from gsm_plugin.inference.video.reading import Reading
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.survey import Survey, survey
from gsm_plugin.inference.video.timing import show_time
from gsm_plugin.inference.video.treatment import Treatment
from gsm_plugin.inference.video.windows import Segment, plan_segments
from gsm_plugin.inference.watching import watching
from gsm_plugin.version import __version__

_PART_EVERY_S = 1.0
# The part of a film's last window that a GPU sees alone: meanwhile the encoder, which is faster, writes the rest.
_LAST_PART = 0.3


class Watcher(Protocol):
    """Who hears what goes on."""

    def say(self, text: str) -> None:
        """A line for people."""

    def reading(self, frames: int) -> None:
        """So many frames are surveyed."""

    def begin(self, frames: int, done: int, windows: Sequence[int]) -> None:
        """So many frames are to be written, of which some are; the network is to see so many frames in each window."""

    def window_begins(self, frames: int) -> None:
        """The network of this thread begins with a window of so many frames."""

    def part(self, text: str) -> None:
        """A part of a network has done something."""

    def window_ends(self, frames: int) -> None:
        """The network of this thread is done with its window of so many frames."""

    def wrote(self, frames: int) -> None:
        """So many more frames are written."""

    def stage(self, name: str, seconds: float) -> None:
        """A stage worked so long."""

    def window(self, segment: Segment, number: int, seen: torch.Tensor, output: torch.Tensor) -> None:
        """What the network saw and what it gave, from a frame on."""


@dataclass(frozen=True)
class Job:
    """A request that has been checked and planned.

    Attributes:
        request: What is wanted.
        reading: The input.
        survey: What its first reading found.
        segments: What the network sees, and in which pieces the output is written.
        treatment: What happens between network and output.
        output: Where it goes.
        settings: All that the output depends on, by name.
        notes: Sentences about what does not stay as it was.
    """

    request: Request
    reading: Reading | FolderReading
    survey: Survey
    segments: tuple[Segment, ...]
    treatment: Treatment
    output: FilmOutput | FolderOutput
    settings: dict[str, str]
    notes: tuple[str, ...]

    @property
    def facts(self) -> Facts:
        """The input."""
        return self.reading.facts


@dataclass(frozen=True)
class Inspected:
    """A request whose input has been read once.

    Attributes:
        reading: The input.
        survey: What its first reading found.
        treatment: What happens between network and output.
    """

    reading: Reading | FolderReading
    survey: Survey
    treatment: Treatment


def inspect(
    request: Request,
    scale: int,
    watcher: Watcher,
    around_reading: Callable[[Facts], AbstractContextManager] = nullcontext,
) -> Inspected:
    """Checks a request and reads its input once; nothing is written.

    Args:
        request: What is wanted.
        scale: Enlargement of the network.
        watcher: Who hears what goes on.
        around_reading: Entered with the input while it is read.

    Raises:
        UserError: Something is wrong with the input, the output, or what is wanted.
    """
    facts, treatment = check_request(request, scale)
    reading = _reading(request, facts)
    with around_reading(facts):
        found = survey(reading, request.cuts, watcher.reading)
    if isinstance(reading, Reading):
        # What is damaged has to be decoded as it was the first time.
        reading = replace(reading, carefully=bool(found.faults))
    return Inspected(reading, found, treatment)


def plan_job(request: Request, network: Network, inspected: Inspected) -> Job:
    """Plans a request; nothing is written.

    Args:
        request: What is wanted, with its windows and tiles.
        network: The network.
        inspected: The input.

    Raises:
        UserError: The output cannot hold what is wanted.
    """
    reading, found, treatment = inspected.reading, inspected.survey, inspected.treatment
    facts = reading.facts
    # a CPU is in the network to the end, and would see the frames around the last ones once more
    last = _LAST_PART if request.makes_film and torch.device(network.device).type == 'cuda' else None
    segments = tuple(plan_segments(found.scenes, request.window, request.context, request.segment_frames, last))
    plan = plan_film if request.makes_film else plan_folder
    treatment, output, notes = plan(request, facts, treatment, found)
    if facts.transparent:
        notes = (*notes, 'opacity is not enlarged; it stays behind')
    notes = (*found.faults, *_early_end(request, facts, found), *notes)
    warning = compression_warning(facts.codec, facts.bits_per_pixel, request.trained_on)
    notes = (*notes, *filter(None, [warning]))
    settings = _settings(request, facts, found, network, output)
    return Job(request, reading, found, segments, treatment, output, settings, notes)


def run_job(job: Job, networks: Sequence[Network], watcher: Watcher) -> int:
    """Does the work; what an interrupted run finished is kept.

    Args:
        job: The plan.
        networks: One a device.
        watcher: Who hears what goes on.

    Returns:
        Number of frames that were finished before.

    Raises:
        UserError: Something fails that a user can cure.
    """
    workplace = opened_workplace(job.request.target, job.settings, job.request.restart)
    sink = job.output.sink(workplace)
    left = [segment for segment in job.segments if not _is_finished(segment, workplace, sink, watcher)]
    frames = len(job.survey.stamps)
    done = frames - sum(segment.stop - segment.start for segment in left)
    watcher.begin(frames, done, [one.stop - one.start for segment in left for one in segment.windows])
    work = Work(
        job.reading,
        job.output.layout,
        job.treatment.size,
        sink,
        job.treatment,
        _waiting(job),
        lambda network, frames: _watched(network, frames, watcher),
        watcher.wrote,
        watcher.window,
        watcher.stage,
    )
    if left:
        run_on_devices(work, networks, left)
    job.output.finish(workplace, [workplace.segment(segment.number) for segment in job.segments], watcher.say)
    workplace.remove()
    return done


def _is_finished(segment: Segment, workplace: Workplace, sink: Sink, watcher: Watcher) -> bool:
    """Whether a segment need not be made; what is left of a damaged one is removed."""
    path = workplace.segment(segment.number)
    if not path.is_file():
        return False
    if sink.holds(segment):
        return True
    watcher.say(f'{path} is damaged, so its frames are made again')
    path.unlink()
    return False


def _waiting(job: Job) -> int:
    """How many frames may wait for the encoder."""
    longest = max(window.stop - window.start for segment in job.segments for window in segment.windows)
    return frames_waiting(longest, bytes_written(job.output.layout, *job.treatment.size))


def _early_end(request: Request, facts: Facts, found: Survey) -> Iterator[str]:
    """What is said where a film ends before the wanted part does."""
    end = float((found.stamps[-1] + found.last_duration) * facts.time_base) - facts.start
    if request.end is not None and end < request.end - 1e-3:
        yield f'the film ends at {show_time(end)}, before {show_time(request.end)}'


@contextmanager
def _watched(network: Network, frames: int, watcher: Watcher) -> Iterator[None]:
    """Tells of a window, and on a CPU, where it takes long, of the parts of the network that work on it."""
    # what is no restorer has no parts
    module = getattr(network, 'network', None)
    on_cpu = torch.device(str(network.device)).type == 'cpu'
    watcher.window_begins(frames)
    with watching(module, watcher.part, _PART_EVERY_S) if module is not None and on_cpu else nullcontext():
        yield
    watcher.window_ends(frames)


def _reading(request: Request, facts: Facts) -> Reading | FolderReading:
    if facts.is_film:
        return Reading(facts, request.deinterlace, request.salvage, request.start, request.end)
    return FolderReading(facts, request.start, request.end)


def _settings(
    request: Request, facts: Facts, found: Survey, network: Network, output: FilmOutput | FolderOutput
) -> dict[str, str]:
    wanted = replace(request, source=facts.path, target=request.target, restart=False, overwrite=False)
    fixed = {
        'input': film_fingerprint(request.source),
        'network': network.name,
        'weights': request.network,
        'precision': str(network.precision),
        'device': str(network.device).partition(':')[0],
        'output': output.describe(),
        'scenes': ' '.join(str(start) for start, _ in found.scenes),
        'versions': f'gsm_plugin {__version__}, torch {torch.__version__}, av {av.__version__}',
    }
    names = (
        'outscale',
        'start',
        'end',
        'window',
        'wanted',
        'tile',
        'context',
        'segment_frames',
        'deinterlace',
        'salvage',
        'beside',
        'rate',
    )
    if request.code:
        fixed['imported code'] = request.code
    return {**fixed, **{name: str(getattr(wanted, name)) for name in names}}
