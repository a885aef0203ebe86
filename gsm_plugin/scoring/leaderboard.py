"""Reproduces a leaderboard: checks the data, runs networks or reuses results, puts them beside published figures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gsm_plugin.data.protocols import DEGRADATION_TITLES, Protocol
from gsm_plugin.errors import UserError
from gsm_plugin.metrics.measures import describe
from gsm_plugin.scoring.board import galleries_of, run_networks, write_text
from gsm_plugin.scoring.choices import Choice, fit_to_scale, parse_choices
from gsm_plugin.scoring.clips import names_of
from gsm_plugin.scoring.known_networks import KNOWN_NETWORKS, TRAININGS
from gsm_plugin.scoring.leaderboard_data import check_folders, open_leaderboard
from gsm_plugin.scoring.metric_choices import open_measures
from gsm_plugin.scoring.report.galleries import Gallery
from gsm_plugin.scoring.report.leaderboard_table import join_rows, leaderboard_table, measures_of, to_markdown
from gsm_plugin.scoring.report.page import Page, points_of, render
from gsm_plugin.scoring.results.records import Record, as_read, merge_records, read_record, write_record
from gsm_plugin.scoring.running import Task
from gsm_plugin.weights.known_files import training_of

_SCALE = 4
_SPEEDS = (
    "Published speeds are those of VRT's table, for output frames of 720x1280 on a card that it does not state; ours "
    'are of the machine named below. Only speeds of one machine compare.'
)
TITLES = {label: known.title for label, known in KNOWN_NETWORKS.items()}


@dataclass(frozen=True)
class Leaderboard:
    """What is to be reproduced.

    Attributes:
        protocol: The leaderboard.
        degradation: `bi` or `bd`.
        networks: See `parse_choices`; none where the merged records are enough.
        metrics: See `open_measures`.
        precision: See `parse_choices`.
        clips: Names of the wanted clips; None takes all.
        merged: Records of other machines, or folders of them.
        datasets: Folder of data sets.
        partial: Whether an incomplete data set is accepted.
        out: Folder of the results.
    """

    protocol: Protocol
    degradation: str
    networks: Sequence[str]
    metrics: Sequence[str]
    precision: str | None
    clips: Sequence[str] | None
    merged: Sequence[Path]
    datasets: Path
    partial: bool
    out: Path

    @property
    def title(self) -> str:
        """For tables and pages."""
        return f'{self.protocol.title}, {DEGRADATION_TITLES[self.degradation]}, x{_SCALE}'


def reproduce(wanted: Leaderboard, say: Callable[[str], None] = print) -> str:
    """Reproduces a leaderboard, and writes `table.md`, `page.html` and a record for each network.

    Args:
        wanted: What is to be reproduced.
        say: Takes lines about what was reused and where the results are.

    Returns:
        The table, Markdown.

    Raises:
        UserError: A name, file or value is wrong; nothing has been run then.
    """
    protocol, degradation = wanted.protocol, wanted.degradation
    protocol.lq_of(degradation)
    if wanted.metrics and not wanted.networks:
        raise UserError('--metrics is for networks that are run; name some by --networks, or leave it out.')
    if wanted.networks or not wanted.merged:
        check_folders(protocol, degradation, wanted.datasets)
    conditions = as_read({**asdict(protocol), 'degradation': degradation})
    others = [record for place in wanted.merged for record in _read_records(place, conditions)]
    records = merge_records(others)
    galleries: list[Gallery] = []
    if wanted.networks:
        records, galleries = _run(wanted, conditions, others, say)
    if not records:
        raise UserError(f'There are no results for {wanted.title}; name networks by --networks.')
    rows = join_rows(records, titles_of(records, protocol.training(degradation)))
    header, cells = leaderboard_table(rows, protocol, degradation)
    notes = [note for record in records for note in record.notes()]
    description = ' '.join(filter(None, [protocol.describe(), describe(measures_of(records)), *notes]))
    table = f'{wanted.title}\n\n{description}\n\n{to_markdown(header, cells)}'
    write_text(wanted.out / 'table.md', table)
    points = points_of(rows, protocol, degradation)
    page = Page(wanted.title, description, header, cells, points, _SPEEDS, records, galleries)
    write_text(wanted.out / 'page.html', render(page))
    say(f'Table: {wanted.out / "table.md"}\nPage: {wanted.out / "page.html"}')
    return table


def titles_of(records: Sequence[Record], training: str) -> dict[str, str]:
    """Names of records in published tables, by label.

    Weights that are known to be trained on another set than the board's figures name it, since these do not compare.

    Args:
        records: The measured networks.
        training: Training set and degradation of the published figures.
    """
    titles = {}
    for record in records:
        title, weights = TITLES.get(record.network, record.network), record.settings.get('weights')
        own = training_of(weights['file'], weights['sha256']) if weights else ''
        titles[record.network] = f'{title}, trained on {own}' if own in TRAININGS and own != training else title
    return titles


def _run(
    wanted: Leaderboard, conditions: dict, others: Sequence[Record], say: Callable[[str], None]
) -> tuple[list[Record], list[Gallery]]:
    protocol = wanted.protocol
    training = protocol.training(wanted.degradation)
    choices = parse_choices(wanted.networks, training, protocol.name, wanted.precision)
    choices, _ = fit_to_scale(choices, _SCALE, f'leaderboards are of scale {_SCALE}')
    if protocol.flip_seq:
        choices = [_flipped(choice) for choice in choices]
    clips = open_leaderboard(protocol, wanted.degradation, wanted.datasets, wanted.partial)
    names = names_of(clips, wanted.clips)
    clips.check(names)
    perceptual = open_measures(wanted.metrics, clips, names)
    for choice in choices:
        own = [record for record in others if record.network == choice.label]
        if own:
            path = wanted.out / f'{choice.label}.json'
            before = [read_record(path)] if path.is_file() else []
            write_record(merge_records([*before, *own])[0], path)
    task = Task(clips, names, protocol.metrics, perceptual, conditions, protocol.center_frame_only)
    run, pictures = run_networks(task, choices, _SCALE, wanted.out, say)
    labels = {choice.label for choice in choices}
    records = run + merge_records(record for record in others if record.network not in labels)
    return records, galleries_of(run, pictures)


def _flipped(choice: Choice) -> Choice:
    """The protocol's flipping, unless the network is run without it; one frame at a time gains nothing by it."""
    if choice.network_g['type'] == 'Bicubic' or 'flip_seq' in choice.val:
        return choice
    return replace(choice, val={**choice.val, 'flip_seq': True})


def _read_records(place: Path, conditions: dict) -> list[Record]:
    if not place.exists():
        raise UserError(f'--merge {place} does not exist; name a record, or a folder of records.')
    files = sorted(place.glob('*.json')) if place.is_dir() else [place]
    if not files:
        raise UserError(f'--merge {place} has no records (*.json); name another folder.')
    records = [read_record(file) for file in files]
    for file, record in zip(files, records, strict=True):
        if record.protocol != conditions:
            raise UserError(f'{file} is of another leaderboard ({record.protocol.get("title")}); leave it out.')
    return records
