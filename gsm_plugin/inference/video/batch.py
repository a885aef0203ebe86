"""Several inputs one after the other; a broken one does not stop the others."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.files import folder_for
from gsm_plugin.inference.handling import Handling
from gsm_plugin.inference.video.fidelity import BackProjection, in_words
from gsm_plugin.inference.video.fitting_memory import Memory, shrunk
from gsm_plugin.inference.video.job import Job, inspect, plan_job, run_job
from gsm_plugin.inference.video.memory import seen_in_tiles
from gsm_plugin.inference.video.outcomes import Outcome
from gsm_plugin.inference.video.pipeline import MemoryEndedError, Network
from gsm_plugin.inference.video.precision_cost import PrecisionCost
from gsm_plugin.inference.video.progress import Progress, peak_memory_text
from gsm_plugin.inference.video.report import report_of
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.samples import Samples, sample_numbers, write_page
from gsm_plugin.inference.video.timing import show_time
from gsm_plugin.locks import lock_of, locked

# work that is long, and what one likes to wait for a look
_LONG_WORK_S, _LOOK_S = 1800, 180


def run_requests(
    requests: Sequence[Request], networks: Sequence[Network], progress: Callable[[], Progress], dry: bool = False
) -> list[Outcome]:
    """Serves requests in order.

    Args:
        requests: What is wanted.
        networks: One a device.
        progress: Makes what tells how a job goes on.
        dry: Whether plans are printed and nothing more is done.
    """
    return [_serve(request, networks, progress(), dry) for request in requests]


def _serve(request: Request, networks: Sequence[Network], watcher: Progress, dry: bool) -> Outcome:
    job = checked = None
    given = networks
    try:
        with _kept_for_itself(request.target, dry):
            memory = Memory(request, networks, watcher.say)
            inspected = inspect(request, networks[0].scale, watcher, memory.measuring)
            watcher.end()
            request, networks = memory.fit(inspected.reading.facts, inspected.survey.longest)
            watcher.expect(memory.seconds_a_frame)
            job = plan_job(request, networks[0], inspected)
            for line in (*describe(job, networks), *_long_work(job, networks, memory.seconds_a_frame)):
                watcher.say(line)
            state, text = 'planned', f'{len(job.survey.stamps)} frames'
            if not dry:
                checked = BackProjection()
                state, text = 'done', _carry_out(job, networks, watcher, checked)
        return Outcome(request, state, text, report_of(request, job, watcher, checked, None))
    except MemoryEndedError as error:
        smaller = shrunk(request, job.facts, networks[0]) if request.retry_smaller and job is not None else None
        if smaller is None:
            return Outcome(request, 'failed', str(error), report_of(request, job, watcher, checked, str(error)))
        watcher.say(f'warning: {error} --retry-smaller: begun anew with {_how_small(smaller)}')
        return _serve(smaller, given, watcher, dry)
    except UserError as error:
        return Outcome(request, 'failed', str(error), report_of(request, job, watcher, checked, str(error)))
    finally:
        watcher.end()


@contextmanager
def _kept_for_itself(target: Path, dry: bool) -> Iterator[None]:
    """Locks an output and its segments, if they are to be written."""
    if dry:
        yield
        return
    with folder_for(lock_of(target)), locked(target):
        yield


def _how_small(request: Request) -> str:
    tiles = '' if request.tile is None else f', tiles of {request.tile}x{request.tile}'
    return (
        f'windows of {request.window} frames, context {request.context}{tiles}; near the ends of windows and the edges '
        f'of tiles the output differs a little'
    )


def _carry_out(job: Job, networks: Sequence[Network], watcher: Progress, checked: BackProjection) -> str:
    """Runs a job with its checks; returns frames and speed in words."""
    samples = Samples(sample_numbers(job.segments) if job.request.page else frozenset())
    watcher.listeners = [checked.add, samples.add]
    cost = PrecisionCost(networks[0], watcher.say, at_once=len(networks) == 1)
    if networks[0].precision != 'fp32':
        watcher.listeners.append(cost.add)
    began, frames = time.perf_counter(), len(job.survey.stamps)
    before = _run(job, networks, watcher)
    seconds = time.perf_counter() - began
    watcher.end()
    cost.finish()
    text = f'{frames} frames, {(frames - before) / seconds:.2f} fps, {show_time(seconds)}'
    watcher.say(f'{job.request.target}: {text} ({watcher.stage_text()}); peak: {peak_memory_text()}')
    values = checked.by_scene().values()
    if values:
        watcher.say(f'made small again, the output is {in_words(values)}')
    for warning in checked.warnings():
        watcher.say(f'warning: {warning}')
    if job.request.page:
        _write_page(job.request.page, job, networks[0], samples, watcher)
    return text


def _write_page(page: Path, job: Job, network: Network, samples: Samples, watcher: Progress) -> None:
    kept, facts = samples.kept(), job.facts
    captions = []
    for sample in kept:
        second = float((job.survey.stamps[sample.number] - job.survey.stamps[0]) * facts.time_base)
        captions.append(f'frame {sample.number}, {show_time(second)}')
    title = f'{facts.path.name}: {facts.width}x{facts.height}, and x{network.scale} by {network.name}'
    write_page(page, title, kept, captions)
    watcher.say(f'{page}: {len(kept)} frames before and after')


def _run(job: Job, networks: Sequence[Network], watcher: Progress) -> int:
    try:
        return run_job(job, networks, watcher)
    except BrokenPipeError:
        # nobody reads what is said
        raise
    except OSError as error:
        # PyAV's errors are handled where they arise; this one is the disk's.
        place = f' at {error.filename}' if error.filename else ''
        raise UserError(
            f'{error.strerror or error}{place}; what was finished is kept, so make room or correct the path, and run '
            f'again.'
        ) from error


def _long_work(job: Job, networks: Sequence[Network], seconds_a_frame: float | None) -> list[str]:
    """A note where a CPU will work for long; a GPU's small clips are mostly waiting and tell too little."""
    if seconds_a_frame is None or str(networks[0].device) != 'cpu':
        return []
    frames = sum(window.stop - window.start for segment in job.segments for window in segment.windows)
    seconds = frames * seconds_a_frame
    if seconds < _LONG_WORK_S:
        return []
    note = f'note: a CPU needs about {show_time(seconds)} for this, a GPU a small part of that'
    if job.request.end is not None:
        return [note]
    few = max(1, int(_LOOK_S / seconds_a_frame))
    length, shown = few / float(job.facts.rate), 'a frame' if few == 1 else f'{few} frames'
    return [f'{note}; --preview {length:.2g}s shows {shown} of it in about {show_time(few * seconds_a_frame)}']


def _describe_tiles(handling: Handling, tile: Sequence[int], size: tuple[int, int]) -> str:
    """What tiles the frames of a size are seen in, and what their overlap costs."""
    overlap = handling.tile_overlap[1:]
    seen = seen_in_tiles(tile[1:], overlap, size)
    sides = 'x'.join(str(min(pair)) for pair in zip(tile[1:], size, strict=True))
    return (
        f'tiles: {sides} pixels are seen at once, overlap {"x".join(map(str, overlap))}, {handling.tile_rule}; each '
        f'pixel is seen {seen:.1f} times'
    )


def describe(job: Job, networks: Sequence[Network]) -> list[str]:
    """The plan, a line each."""
    facts, found, request = job.facts, job.survey, job.request
    seconds = float((found.stamps[-1] + found.last_duration - found.stamps[0]) * facts.time_base)
    kind = 'frames' if facts.is_film else 'images'
    network, devices = networks[0], ', '.join(str(network.device) for network in networks)
    windows = [window for segment in job.segments for window in segment.windows]
    longest = max(window.stop - window.start for window in windows)
    lines = [
        f'{facts.path}: {len(found.stamps)} {kind} of {facts.width}x{facts.height}, {facts.codec}, '
        f'{facts.layout.describe()}, {float(facts.rate):.4g} fps, {show_time(seconds)}',
        f'network: {network.name}, x{network.scale}, {network.precision}, on {devices}',
        f'scenes: {len(found.scenes)}, cuts {request.cuts.describe()}',
        f'windows: {len(windows)} of at most {longest} frames, context {request.context}; '
        f'segments: {len(job.segments)}',
        f'output: {request.target}, {job.output.describe()}',
    ]
    # what is no restorer has no handling
    handling: Handling | None = getattr(network, 'handling', None)
    if handling is not None and handling.tile is not None:
        lines.append(_describe_tiles(handling, handling.tile, (facts.height, facts.width)))
    if request.beside:
        lines.append('the input, enlarged by bicubic interpolation, stands on the left')
    return [*lines, *(f'note: {note}' for note in job.notes)]
