"""Runs a network over clips and keeps what it scored, clip by clip, so that an interrupted run goes on."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from basicsr.utils import tensor2img
from tqdm import tqdm

from gsm_plugin.data.paired_clips import size_text
from gsm_plugin.errors import UserError
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.metrics.cost import measured
from gsm_plugin.metrics.multiply_adds import count_per_pixel
from gsm_plugin.metrics.perceptual import Perceptual
from gsm_plugin.models.finite_scores import check_output
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.validation import Clip, score_clip
from gsm_plugin.scoring.choices import Choice
from gsm_plugin.scoring.clips import ClipSet
from gsm_plugin.scoring.results.provenance import provenance
from gsm_plugin.scoring.results.records import ClipResult, Record, read_record, write_record

# The first call of a GPU compiles and chooses kernels.
_WARM_UP_FRAMES = 7
_SECONDS_BETWEEN_WRITES = 5


@dataclass(frozen=True)
class Task:
    """What is to be scored.

    Attributes:
        clips: The clips.
        names: Those of them that are wanted.
        metrics: As option files have them.
        perceptual: What is scored besides.
        protocol: What results depend on besides the network; see `Record`.
        center_frame_only: Whether a clip has one scored frame.
    """

    clips: ClipSet
    names: Sequence[str]
    metrics: dict[str, dict]
    perceptual: Perceptual
    protocol: dict
    center_frame_only: bool = False

    def is_done(self, result: ClipResult | None, data: str) -> bool:
        """Whether a result is of a clip's present files and has all that is wanted."""
        wanted = {*self.metrics, *self.perceptual.names}
        return result is not None and result.data == data and wanted <= result.values.keys()


Show = Callable[[str, Clip, Sequence[np.ndarray]], None]


class _Keeper:
    """Writes a growing record, but not after each of thousands of short clips."""

    def __init__(self, path: Path):
        self._path, self._written = path, -math.inf

    def keep(self, record: Record, is_last: bool) -> None:
        if is_last or time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            write_record(record, self._path)
            self._written = time.monotonic()


def run_task(
    task: Task, choice: Choice, model: GSMModel, path: Path, bar: tqdm, show: Show | None = None
) -> tuple[Record, int]:
    """Scores what the record at `path` does not have yet, and writes it as it grows.

    Args:
        task: What is to be scored.
        choice: The network.
        model: The network, built.
        path: File of the record; one of other settings is replaced.
        bar: Moved on by each scored frame.
        show: Takes the network's label, a clip and its scored output frames (h, w, 3), uint8, BGR.

    Returns:
        The record, and how many of its clips were there already.
    """
    record = _begin(task, choice, model, path, bar)
    prints = {name: task.clips.fingerprint(name) for name in task.names}
    reused = [name for name in task.names if task.is_done(record.clips.get(name), prints[name])]
    bar.update(sum(task.clips.lengths[name] for name in reused))
    fresh = [name for name in task.names if name not in set(reused)]
    keeper = _Keeper(path)
    for number, name in enumerate(fresh):
        clip = _open(task, name)
        bar.set_description(f'{choice.label}: {name}')
        if number == 0:
            bar.set_postfix_str('counting multiply-adds')
            record = _with_machine(record, clip, model, choice)
            bar.set_postfix_str('')
            _warm_up(model, clip)
        result, images = _score(model, clip, task, choice)
        result = replace(result, data=prints[name], machine=len(record.machines) - 1)
        before = record.clips.get(name)
        if before is not None and before.data == result.data:
            result = result.with_values_of(before)
        bar.update(len(clip.frames))
        if show is not None:
            show(choice.label, clip, images)
        record = record.with_clip(name, result)
        keeper.keep(record, is_last=name == fresh[-1])
    return record, len(reused)


def _begin(task: Task, choice: Choice, model: GSMModel, path: Path, bar: tqdm) -> Record:
    network = model.get_bare_model(model.net_g)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    empty = Record(choice.label, choice.settings(), task.protocol, parameters, None, (0, 0), ())
    if not path.is_file():
        return empty
    found = read_record(path)
    if found.fits(empty):
        return found
    bar.write(f'{path} is of other weights, settings or protocol; it is replaced.')
    return empty


def _with_machine(record: Record, clip: Clip, model: GSMModel, choice: Choice) -> Record:
    """Notes the machine, and what is told once for all clips."""
    by_tf32 = policy_for('inference', choice.precision).multiplies_by_tf32(model.device)
    machine = {**provenance(Path(__file__).parent), 'tf32': by_tf32}
    counted = record.multiply_adds
    if counted is None:
        counted = count_per_pixel(model.get_bare_model(model.net_g), choice.lengths)
    machines = record.machines if record.machines[-1:] == (machine,) else (*record.machines, machine)
    height, width = clip.lq.shape[-2:]
    size = (height, width) if record.lq_size == (0, 0) else record.lq_size
    return replace(record, machines=machines, multiply_adds=counted, lq_size=size)


def _open(task: Task, name: str) -> Clip:
    try:
        return task.clips.open(name)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error


def _warm_up(model: GSMModel, clip: Clip) -> None:
    if model.device.type == 'cuda':
        model.restore(clip.lq[None, :_WARM_UP_FRAMES])


def _score(model: GSMModel, clip: Clip, task: Task, choice: Choice) -> tuple[ClipResult, list[np.ndarray]]:
    least = least_frames(choice, model)
    if len(clip.lq) < least:
        raise UserError(
            f'{choice.label} needs {least} frames, but clip {clip.folder} has {len(clip.lq)}; leave it out.'
        )
    with measured(model.device) as cost:
        output = check_output(model.restore(clip.lq[None])[0], f'{choice.label}, clip {clip.folder}')
    wanted, actual = (size_text(image.shape[-2:]) for image in (clip.gt(clip.frames[0]), output))
    if actual != wanted:
        raise UserError(
            f'{choice.label} makes {actual} pixels of clip {clip.folder}, whose ground truth has {wanted}; take its '
            f'own scale, or another network.'
        )
    images: list[np.ndarray] = []
    rows = list(score_clip(clip, output, task.metrics, lambda _, image: images.append(image)))
    values = {name: tuple(float(row[i]) for row in rows) for i, name in enumerate(task.metrics)}
    gts = (tensor2img([clip.gt(frame)]) for frame in clip.frames)
    values |= task.perceptual.score(images, gts, task.metrics['psnr']['crop_border'], model.device)
    result = ClipResult(tuple(clip.names), values, len(clip.lq), cost.seconds, cost.peak_gib, data='')
    return result, images


def least_frames(choice: Choice, model: GSMModel) -> int:
    """The shortest clip that a network takes."""
    return max(choice.least_frames(), getattr(model.get_bare_model(model.net_g), 'least_frames', 1))


def gt_images(clip: Clip) -> list[np.ndarray]:
    """The scored frames of ground truth, (h, w, 3), uint8, BGR."""
    return [tensor2img([clip.gt(frame)]) for frame in clip.frames]


def lq_images(clip: Clip) -> list[np.ndarray]:
    """The LQ frames that belong to the scored ones, (h, w, 3), uint8, BGR."""
    return [tensor2img([clip.lq[frame]]) for frame in clip.frames]
