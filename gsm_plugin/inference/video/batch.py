"""Several inputs one after the other; a broken one does not stop the others, and a table says what became of each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gsm_plugin.compat import UserError
from gsm_plugin.inference.video.job import Job, plan_job, run_job
from gsm_plugin.inference.video.pipeline import Network
from gsm_plugin.inference.video.progress import Progress, peak_memory_text
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.timing import show_time


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        request: The request.
        state: done, planned, or failed.
        text: Frames and speed, or the sentence that says what was wrong.
    """

    request: Request
    state: str
    text: str


def run_requests(
    requests: Sequence[Request],
    networks: Sequence[Network],
    progress: Callable[[], Progress],
    dry: bool = False,
) -> list[Outcome]:
    """Serves requests in order.

    Args:
        requests: What is wanted.
        networks: One a device.
        progress: Makes what tells how a job goes on.
        dry: Whether plans are printed and nothing more is done.
    """
    outcomes = []
    for request in requests:
        try:
            outcomes.append(_serve(request, networks, progress, dry))
        except UserError as error:
            outcomes.append(Outcome(request, 'failed', str(error)))
    return outcomes


def _serve(request: Request, networks: Sequence[Network], progress: Callable[[], Progress], dry: bool) -> Outcome:
    watcher = progress()
    try:
        job = plan_job(request, networks[0], watcher)
        watcher.end()
        for line in describe(job, networks):
            watcher.say(line)
        frames = len(job.survey.stamps)
        if dry:
            return Outcome(request, 'planned', f'{frames} frames')
        began = time.perf_counter()
        before = _run(job, networks, watcher)
        seconds = time.perf_counter() - began
        text = f'{frames} frames, {(frames - before) / seconds:.2f} fps, {show_time(seconds)}'
        watcher.end()
        watcher.say(f'{request.target}: {text} ({watcher.stage_text()}); peak: {peak_memory_text()}')
        return Outcome(request, 'done', text)
    finally:
        watcher.end()


def _run(job: Job, networks: Sequence[Network], watcher: Progress) -> int:
    try:
        return run_job(job, networks, watcher)
    except OSError as error:
        # PyAV's errors are handled where they arise; this one is the disk's.
        place = f' at {error.filename}' if error.filename else ''
        raise UserError(
            f'{error.strerror or error}{place}; what was finished is kept, so make room or correct the path, and run '
            f'again.'
        ) from error


def describe(job: Job, networks: Sequence[Network]) -> list[str]:
    """The plan, a line each."""
    facts, found, request = job.facts, job.survey, job.request
    seconds = float((found.stamps[-1] + found.last_duration - found.stamps[0]) * facts.time_base)
    kind = 'frames' if facts.is_film else 'images'
    network, devices = networks[0], ', '.join(str(network.device) for network in networks)
    windows = sum(len(segment.windows) for segment in job.segments)
    lines = [
        f'{facts.path}: {len(found.stamps)} {kind} of {facts.width}x{facts.height}, {facts.codec}, '
        f'{facts.layout.describe()}, {float(facts.rate):.4g} fps, {show_time(seconds)}',
        f'network: {network.name}, x{network.scale}, {network.precision}, on {devices}',
        f'scenes: {len(found.scenes)}, cuts {request.cuts.describe()}',
        f'windows: {windows} of at most {request.window} frames, context {request.context}; '
        f'{len(job.segments)} segments',
        f'output: {request.target}, {job.output.describe()}',
    ]
    if request.beside:
        lines.append('the input, enlarged by bicubic interpolation, stands on the left')
    return [*lines, *(f'note: {note}' for note in job.notes)]


def table(outcomes: Sequence[Outcome]) -> str:
    """What became of all, a line each."""
    width = max(len(str(outcome.request.source)) for outcome in outcomes)
    return '\n'.join(f'{outcome.request.source!s:{width}}  {outcome.state:7}  {outcome.text}' for outcome in outcomes)
