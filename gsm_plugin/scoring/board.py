"""Runs several networks on one task, and writes table, records and page into one folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from gsm_plugin.errors import UserError
from gsm_plugin.files import check_writable, folder_for, write_whole
from gsm_plugin.locks import locked, refuse_locked
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.validation import evaluating
from gsm_plugin.scoring.choices import Choice, build
from gsm_plugin.scoring.kept_frames import Pictures, profile_of
from gsm_plugin.scoring.report.galleries import Gallery, make_gallery
from gsm_plugin.scoring.results.records import Record
from gsm_plugin.scoring.running import Task, least_frames, run_task

_PICTURED_CLIPS = 4
# Side of the frames by which it is seen what a network enlarges by; BasicVSR needs as many.
_PROBE = 64


def run_networks(
    task: Task, choices: Sequence[Choice], scale: int, out: Path, say: Callable[[str], None]
) -> tuple[list[Record], Pictures]:
    """Scores networks one after another; all are built first, so that a wrong one ends the run before it begins.

    Args:
        task: What is to be scored.
        choices: The networks.
        scale: Their enlargement.
        out: Folder of the records, `<label>.json`, and of the pictures.
        say: Takes a line for each network whose results are reused.

    Returns:
        The records, in order, and the pictures.

    Raises:
        UserError: A network cannot be built, a clip cannot be read, another process scores a network into the folder,
            or the folder cannot be written.
    """
    check_writable(out / 'table.md', '--out')
    paths = [out / f'{choice.label}.json' for choice in choices]
    for path in paths:
        # other networks may be scored into the folder meanwhile, on another GPU for example
        refuse_locked(path)
    for choice in choices:
        if choice.has_random_weights():
            say(f'{choice.label} has random weights: its option file names none (path:pretrain_network_g).')
    models = [_on_cpu(_build_checked(task, choice, scale)) for choice in choices]
    pictures = Pictures(out / 'pictures', task.names[:_PICTURED_CLIPS])
    total = len(choices) * sum(task.clips.lengths[name] for name in task.names)
    records = []
    with tqdm(total=total, unit='frame') as bar:
        for choice, path in zip(choices, paths, strict=True):
            model = models.pop(0)
            model.net_g.to(model.device)
            with folder_for(path), locked(path):
                record, reused = run_task(task, choice, model, path, bar, pictures.keep)
            del model
            if reused:
                say(f'{choice.label}: results of {reused} of {len(task.names)} clips are those of {out}.')
            records.append(record)
    return records, pictures


def _build_checked(task: Task, choice: Choice, scale: int) -> GSMModel:
    """Builds a network, and refuses one that would fail on the first of the clips."""
    model = build(choice, scale, task.metrics)
    least = least_frames(choice, model)
    for name in () if task.center_frame_only else task.names:
        frames = task.clips.lengths[name]
        if frames < least:
            raise UserError(f'{choice.label} needs {least} frames, but clip {name} has {frames}; leave it out.')
    if choice.enlarges_by() is None and choice.network_g['type'] != 'Bicubic':
        network, frames = model.get_bare_model(model.net_g), choice.val.get('window') or max(least, 2)
        with evaluating(network):
            side = network(torch.rand(1, frames, 3, _PROBE, _PROBE, device=model.device)).shape[-1]
        if side != scale * _PROBE:
            raise UserError(
                f'{choice.label} makes {side} pixels of {_PROBE}, but the scale is {scale}; take its own scale, or '
                f'another network.'
            )
    return model


def _on_cpu(model: GSMModel) -> GSMModel:
    """Where a network waits for its turn, so that the peak memory of another one is its own."""
    model.net_g.to('cpu')
    return model


def galleries_of(records: Sequence[Record], pictures: Pictures) -> list[Gallery]:
    """What a page shows of the pictured clips."""
    found = pictures.of([record.network for record in records])
    return [
        make_gallery(
            clip, paths, {label: profile_of(path) for label, path in paths.items() if profile_of(path).is_file()}
        )
        for clip, paths in found.items()
        if len(paths) > 2
    ]


def write_text(path: Path, text: str) -> None:
    """Writes a file that appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
