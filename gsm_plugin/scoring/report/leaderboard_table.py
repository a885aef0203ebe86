"""A leaderboard as one table: published figures, ours and the difference, each cell with where it comes from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gsm_plugin.data.protocols import Protocol
from gsm_plugin.metrics.measures import MEASURES
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.scoring.results.published import PUBLISHED, SOURCES, Published
from gsm_plugin.scoring.results.records import Record

# With more clips, a column for each is of no use.
_MOST_CLIP_COLUMNS = 12
MEASURED = 'measured: '
"""How the sources of our own figures begin."""


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and where its figure comes from; both empty where nothing is known."""

    text: str = ''
    source: str = ''


@dataclass(frozen=True)
class Row:
    """A network, published, measured or both.

    Attributes:
        title: Its name.
        published: What is published about it.
        record: What was measured.
    """

    title: str
    published: Published | None
    record: Record | None


def join_rows(records: Sequence[Record], titles: dict[str, str]) -> list[Row]:
    """Puts records beside what is published.

    Args:
        records: The measured networks.
        titles: Name of a record's network in published tables, by its label.

    Returns:
        The published networks in their order, then those of which nothing is published.
    """
    measured = {titles.get(record.network, record.network): record for record in records}
    rows = [Row(entry.title, entry, measured.pop(entry.title, None)) for entry in PUBLISHED]
    return rows + [Row(title, None, record) for title, record in measured.items()]


def leaderboard_table(rows: Sequence[Row], protocol: Protocol, degradation: str) -> tuple[list[str], list[list[Cell]]]:
    """Makes the table of a leaderboard; a network that was not run on all of it has no difference.

    Args:
        rows: Networks; those with neither a figure for this leaderboard nor a record are left out.
        protocol: The leaderboard.
        degradation: `bi` or `bd`.

    Returns:
        Headings, and the rows of cells.
    """
    column = protocol.name, degradation
    shown = [row for row in rows if row.record or (row.published and column in row.published.figures)]
    clips = list(dict.fromkeys(clip for row in shown if row.record for clip in row.record.clips))
    clips = clips if len(clips) <= _MOST_CLIP_COLUMNS else []
    header = ['network']
    for metric in ('PSNR', 'SSIM'):
        header += [f'{metric} published', f'{metric} ours', 'difference']
    measures = measures_of([row.record for row in shown if row.record])
    header += [*(MEASURES[name].title for name in measures), *clips, 'params M', 'multiply-adds T', 'fps', 'peak GiB']
    return header, [_cells(row, column, measures, clips, protocol) for row in shown]


def comparison_cells(records: Sequence[Record]) -> tuple[list[str], list[list[Cell]]]:
    """Makes the table of a comparison without a leaderboard: each network's clips, means and cost."""
    clips = list(dict.fromkeys(clip for record in records for clip in record.clips))
    measures = measures_of(records)
    titles = [MEASURES[name].title for name in measures]
    header = ['network', *clips, 'PSNR', 'SSIM', *titles, 'params M', 'multiply-adds T', 'fps', 'peak GiB']
    rows = []
    for record in records:
        where = _where(record)
        means = [Cell(_text(record.mean('psnr'), 2), where), Cell(_text(record.mean('ssim'), 4), where)]
        means += [_measure_cell(record, name, where) for name in measures]
        own = [_clip_cell(record, clip, where) for clip in clips]
        rows.append([Cell(record.network), *own, *means, *_size_cells(record, where)])
    return header, rows


def measures_of(records: Sequence[Record]) -> list[str]:
    """Those of `MEASURES` that records have, in order."""
    return [name for name in MEASURES if any(record.scored_by(name) for record in records)]


def to_markdown(header: Sequence[str], cells: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table whose cells carry numbers of the sources that are listed below it."""
    sources = list(dict.fromkeys(cell.source for row in cells for cell in row if cell.source))
    texts = [[_with_number(cell, sources) for cell in row] for row in cells]
    notes = ''.join(f'[{number}] {source}\n' for number, source in enumerate(sources, start=1))
    return f'{markdown_table(header, texts)}\n{notes}'


def _with_number(cell: Cell, sources: Sequence[str]) -> str:
    return f'{cell.text} [{sources.index(cell.source) + 1}]' if cell.source and cell.text else cell.text


def _cells(
    row: Row, column: tuple[str, str], measures: Sequence[str], clips: Sequence[str], protocol: Protocol
) -> list[Cell]:
    figure = row.published.figures.get(column) if row.published else None
    record, where = row.record, _where(row.record)
    comparable = record is not None and record.is_complete(protocol)
    note = '' if comparable or record is None else f' (part: {_extent(record)})'
    cells = [Cell(row.title + note)]
    for metric, places in (('psnr', 2), ('ssim', 4)):
        known = getattr(figure, metric) if figure else None
        ours = record.mean(metric) if record else None
        published = Cell() if figure is None or known is None else Cell(f'{known:.{places}f}', SOURCES[figure.source])
        own = Cell() if ours is None else Cell(_text(ours, places), where)
        cells += [published, own]
        if known is not None and ours is not None and comparable:
            cells.append(Cell(f'{ours - known:+.{places}f}'))
        else:
            cells.append(Cell())
    cells += [_measure_cell(record, name, where) for name in measures]
    cells += [_clip_cell(record, clip, where) for clip in clips]
    if record is not None:
        cells += _size_cells(record, where)
    elif row.published is not None:
        cells += _published_sizes(row.published, column)
    return cells


def _extent(record: Record) -> str:
    return f'{sum(len(clip.frames) for clip in record.clips.values())} frames of {len(record.clips)} clips'


def _measure_cell(record: Record | None, name: str, where: str) -> Cell:
    if record is None or not (scored := len(record.scored_by(name))):
        return Cell()
    part = '' if scored == len(record.clips) else f' ({scored} of {len(record.clips)} clips)'
    return Cell(f'{_text(record.mean(name), MEASURES[name].digits)}{part}', where)


def _clip_cell(record: Record | None, clip: str, where: str) -> Cell:
    if record is None or clip not in record.clips:
        return Cell()
    result = record.clips[clip]
    return Cell(f'{_text(result.mean("psnr"), 2)}/{_text(result.mean("ssim"), 4)}', where)


def _text(mean: float, digits: int) -> str:
    """A mean in a cell; `none` where no frame has a value."""
    return 'none' if math.isnan(mean) else f'{mean:.{digits}f}'


def _published_sizes(published: Published, column: tuple[str, str]) -> list[Cell]:
    parameters = Cell()
    if published.parameters is not None:
        parameters = Cell(f'{published.parameters:.1f}', SOURCES[published.source])
    # That table's operations are for output frames of 720x1280.
    counted = published.tera_multiply_adds if column[0] == 'reds4' else None
    return [parameters, Cell() if counted is None else Cell(f'{counted:.2f}', SOURCES['MIA']), Cell(), Cell()]


def _size_cells(record: Record, where: str) -> list[Cell]:
    """Parameters, multiply-adds, frames per second and memory of a network that was run."""
    fps, peak, machine = record.speed()
    height, width = record.lq_size
    counted = '' if record.multiply_adds is None else f'{record.multiply_adds * height * width / 1e12:.3f}'
    here = f'{where}; LQ frames of {height}x{width}'
    device = f'{here}; {machine["device"]}'
    return [
        Cell(f'{record.parameters / 1e6:.2f}', where),
        Cell(counted, f'{here}, counted') if counted else Cell(),
        Cell(f'{fps:.2f}', device),
        Cell() if peak is None else Cell(f'{peak:.2f}', device),
    ]


def _where(record: Record | None) -> str:
    if record is None:
        return ''
    weights = record.settings.get('weights')
    file = f'{weights["file"]}, sha256 {weights["sha256"][:8]}' if weights else 'random weights'
    file = 'no weights' if record.parameters == 0 else file
    return f'{MEASURED}{record.network} ({file}), {record.precision}'
