"""Compares networks on any clips, without a protocol: degrade, run, score, time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gsm_plugin.data.degradations import check_degradation
from gsm_plugin.errors import UserError
from gsm_plugin.metrics.measures import describe
from gsm_plugin.scoring.board import galleries_of, run_networks, write_text
from gsm_plugin.scoring.choices import Choice, fit_to_scale, parse_choices
from gsm_plugin.scoring.clips import ReducedClipSet, Reduction, find_clips, names_of
from gsm_plugin.scoring.metric_choices import open_measures
from gsm_plugin.scoring.report.charts import Point
from gsm_plugin.scoring.report.leaderboard_table import comparison_cells, measures_of, to_markdown
from gsm_plugin.scoring.report.page import Page, render
from gsm_plugin.scoring.results.records import as_read, read_record
from gsm_plugin.scoring.running import Task


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        place: A video, a folder of images, or a folder of videos or of folders of images.
        networks: See `parse_choices`.
        metrics: See `open_measures`.
        reduction: How LQ frames are made.
        channel: `rgb` or `y`.
        precision: See `parse_choices`.
        clips: Names of the wanted clips; None takes all.
        out: Folder of the results.
    """

    place: Path
    networks: Sequence[str]
    metrics: Sequence[str]
    reduction: Reduction
    channel: str
    precision: str | None
    clips: Sequence[str] | None
    out: Path


def compare(wanted: Comparison, say: Callable[[str], None] = print) -> str:
    """Compares networks, and writes `table.md`, `page.html` and a record for each network.

    Args:
        wanted: What is compared.
        say: Takes lines about what was reused and where the results are.

    Returns:
        The table, Markdown.

    Raises:
        UserError: A name, file or value is wrong; nothing has been run then.
    """
    # all of them are defined for 4
    check_degradation(wanted.reduction.degradation, wanted.reduction.scale or 4)
    places = find_clips(wanted.place)
    training = 'REDS BI' if wanted.reduction.degradation == 'bi' else 'Vimeo-90K BD'
    choices = parse_choices(wanted.networks, training, precision=wanted.precision)
    choices, scale = fit_to_scale(choices, wanted.reduction.scale, f'--scale is {wanted.reduction.scale}')
    reduction = replace(wanted.reduction, scale=scale)
    check_degradation(reduction.degradation, scale)
    clips = ReducedClipSet(places, reduction)
    names = names_of(clips, wanted.clips)
    common = {'crop_border': 0, 'test_y_channel': wanted.channel == 'y'}
    metrics = {name: {'type': f'calculate_{name}', **common} for name in ('psnr', 'ssim')}
    protocol = {
        'place': str(wanted.place.expanduser().resolve()),
        'degradation': reduction.degradation,
        'scale': reduction.scale,
        'frames': reduction.frames,
        'shrink': reduction.shrink,
        'crf': reduction.crf,
        'channel': wanted.channel,
    }
    perceptual = open_measures(wanted.metrics, clips, names)
    clips.check(names, perceptual.names)
    task = Task(clips, names, metrics, perceptual, as_read(protocol))
    _refuse_other_results(wanted.out, task, choices)
    records, pictures = run_networks(task, choices, scale, wanted.out, say)
    # The files keep clips of earlier comparisons.
    records = [record.only(names) for record in records]
    header, cells = comparison_cells(records)
    notes = [note for record in records for note in record.notes()]
    table = to_markdown(header, cells) + ''.join(f'\n{note}\n' for note in notes)
    write_text(wanted.out / 'table.md', table)
    points = [Point(record.network, record.speed()[0], record.mean('psnr'), measured=True) for record in records]
    page = Page(
        f'Comparison on {wanted.place.resolve().name}',
        ' '.join(filter(None, [_describe(wanted.channel, reduction), describe(measures_of(records)), *notes])),
        header,
        cells,
        points,
        'PSNR is the mean over clips; speed is that of the whole run.',
        records,
        galleries_of(records, pictures),
    )
    write_text(wanted.out / 'page.html', render(page))
    say(f'Table: {wanted.out / "table.md"}\nPage: {wanted.out / "page.html"}')
    return table


def _refuse_other_results(out: Path, task: Task, choices: Sequence[Choice]) -> None:
    """Refuses a folder whose results would be lost: of other clips, of another reduction, or of other weights."""
    records = sorted(out.glob('*.json'))
    others = next((path.name for path in sorted(out.glob('*')) if not path.name.endswith(('pictures', '.lock'))), None)
    if others is not None and not records:
        raise UserError(f'{out} has {others} in it and no results of a comparison; give another folder by --out.')
    for path in records:
        found = read_record(path)
        different = [key for key in task.protocol if found.protocol.get(key) != task.protocol[key]]
        own = [choice for choice in choices if choice.label == path.stem]
        if different:
            key = different[0]
            what = f'another comparison ({key} is {found.protocol.get(key)} there, and {task.protocol[key]} here)'
        elif own and own[0].settings() != found.settings:
            what = f'a comparison of {path.stem} with other weights or settings'
        else:
            continue
        raise UserError(f'{out} has the results of {what}; name another folder by --out, or remove that one.')


def _describe(channel: str, reduction: Reduction) -> str:
    channel = {'rgb': 'RGB', 'y': 'the Y channel'}[channel]
    shrunk = f', made {reduction.shrink} times smaller by area before' if reduction.shrink > 1 else ''
    coded = '' if reduction.crf is None else f', then encoded by H.264 (x264, veryfast) with crf {reduction.crf:g}'
    return (
        f'PSNR and SSIM on {channel} of 8-bit frames, no border cut, every frame; mean over frames, then over clips. '
        f'LQ frames are made from the ground truth{shrunk}: {reduction.degradation}, x{reduction.scale}{coded}.'
    )
