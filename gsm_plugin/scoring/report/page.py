"""Puts table, charts and pictures into one HTML file without references to anything outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.data.protocols import Protocol
from gsm_plugin.scoring.report.charts import Point, curves, quality_over_speed
from gsm_plugin.scoring.report.galleries import Gallery
from gsm_plugin.scoring.report.leaderboard_table import MEASURED, Cell, Row
from gsm_plugin.scoring.results.records import Record

# Curves of so many clips are shown each by itself.
_MOST_CURVES = 12


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        title: Heading.
        description: How it was scored.
        header: Headings of the table.
        cells: Rows of the table.
        points: For the chart of quality over speed.
        points_note: What is to be known about its speeds.
        records: The measured networks.
        galleries: Pictures of clips.
    """

    title: str
    description: str
    header: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    points: Sequence[Point]
    points_note: str
    records: Sequence[Record]
    galleries: Sequence[Gallery]


def render(page: Page) -> str:
    """Makes the HTML text."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    sources = list(dict.fromkeys(cell.source for row in page.cells for cell in row if cell.source))
    return environment.get_template('page.html.j2').render(
        page=page,
        sources=sources,
        ours={i for i, row in enumerate(page.cells) if any(cell.source.startswith(MEASURED) for cell in row)},
        scatter=quality_over_speed(page.points),
        curves=frame_curves(page.records),
        machines=_machines(page.records),
    )


def points_of(rows: Sequence[Row], protocol: Protocol, degradation: str) -> list[Point]:
    """Networks whose speed and PSNR are known: measured, and published ones beside them where both compare.

    Args:
        rows: The networks.
        protocol: The leaderboard.
        degradation: `bi` or `bd`.
    """
    column = protocol.name, degradation
    measured = [(row.title, row.record) for row in rows if row.record]
    points = [Point(title, record.speed()[0], record.mean('psnr'), True) for title, record in measured]
    # The published times are for output frames of 720x1280, and figures are of whole data sets.
    if protocol.name == 'reds4' and all(record.is_complete(protocol) for _, record in measured):
        known = [row.published for row in rows if row.published and column in row.published.figures]
        points += [
            Point(entry.title, 1e3 / entry.milliseconds, entry.figures[column].psnr, False)
            for entry in known
            if entry.milliseconds
        ]
    return points


def frame_curves(records: Sequence[Record]) -> list[str]:
    """PSNR over the frames of each clip; over clips, where each has one scored frame or there are many."""
    clips = list(dict.fromkeys(name for record in records for name in record.clips))
    single = all(len(clip.frames) == 1 for record in records for clip in record.clips.values())
    if single or len(clips) > _MOST_CURVES:
        values = {
            record.network: [record.clips[name].mean('psnr') for name in clips if name in record.clips]
            for record in records
        }
        return [curves('all clips', values, 'clip')] if clips else []
    return [
        curves(
            name,
            {record.network: record.clips[name].values['psnr'] for record in records if name in record.clips},
            'frame',
        )
        for name in clips
    ]


def _machines(records: Sequence[Record]) -> list[str]:
    lines = []
    for record in records:
        for machine in record.machines:
            packages = ', '.join(f'{name} {version}' for name, version in machine['packages'].items() if version)
            precision = ' with TF32' if machine.get('tf32') else ''
            lines.append(
                f'{machine["device"]}{precision}; Python {machine["python"]}, {packages}; commit {machine["commit"]}'
            )
    return list(dict.fromkeys(lines))
