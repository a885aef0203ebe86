"""What a run did, to be attached to an issue: versions, the input, the plan, times, what was found, what was said."""

import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import av
import torch

from gsm_plugin.files import write_whole
from gsm_plugin.inference.video.fidelity import BackProjection
from gsm_plugin.inference.video.job import Job
from gsm_plugin.inference.video.progress import Progress, peak_memory
from gsm_plugin.inference.video.request import Request


def report_of(
    request: Request, job: Job | None, progress: Progress, checked: BackProjection | None, error: str | None
) -> dict:
    """The facts about one request, ready for JSON.

    Args:
        request: What was wanted.
        job: The plan; None where there was none.
        progress: Who heard what went on.
        checked: The check against invention; None where nothing was run.
        error: The sentence that ended the work, or None.
    """
    facts: dict[str, Any] = {'input': str(request.source), 'output': str(request.target), 'error': error}
    facts['log'] = progress.lines
    if job is not None:
        facts['probe'] = {
            field.name: str(getattr(job.facts, field.name)) for field in dataclasses.fields(job.facts) if field.repr
        }
        facts['settings'] = job.settings
        facts['scenes'] = [list(scene) for scene in job.survey.scenes]
        facts['notes'] = list(job.notes)
    if checked is not None:
        facts['back_projection_db'] = {str(scene): round(value, 3) for scene, value in checked.by_scene().items()}
        facts['frames'], facts['frames_before'] = progress.frames, progress.before
        facts['stage_seconds'] = {name: round(seconds, 3) for name, seconds in progress.stages.items()}
    facts['peak'] = peak_memory()
    return facts


def write_report(path: Path, runs: list[dict]) -> None:
    """Writes the reports of all requests of a run, with versions; a folder that is missing is made."""
    machine = {
        'python': platform.python_version(),
        'system': platform.platform(),
        'torch': torch.__version__,
        'av': av.__version__,
        'ffmpeg': {name: '.'.join(map(str, version)) for name, version in av.library_versions.items()},
        'gpus': [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({'machine': machine, 'runs': runs}, indent=2).encode())
