"""The tables and the page of a study."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gsm_plugin.metrics.measures import MEASURES, PARTS_OF_MSE, describe
from gsm_plugin.scoring.board import write_text
from gsm_plugin.scoring.report.charts import bands
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.scoring.results.records import Record
from gsm_plugin.studies.ablation.plan import Study
from gsm_plugin.studies.ablation.statistics import paired_p, spread_of

Records = Mapping[tuple[str, int], Record]
"""By variant and seed; those that failed are missing."""

VariantCurves = Mapping[str, Sequence[Mapping[int, float]]]
"""By variant, of each seed values by iteration."""


def main_rows(study: Study, records: Records, metric: str = 'psnr') -> list[list[str]]:
    """Titles, then for each variant the metric over seeds, the difference to the base, size, work and speed."""
    titles = ['variant', 'seeds', metric.upper(), 'against the base', 'p', 'parameters', 'MACs a pixel', 'fps']
    rows = [titles]
    for variant in study.variants:
        own = {seed: records[variant, seed] for seed in study.seeds if (variant, seed) in records}
        if not own:
            rows.append([variant, '0', *[''] * (len(titles) - 2)])
            continue
        first = next(iter(own.values()))
        rows.append(
            [
                variant,
                str(len(own)),
                spread_of([record.mean(metric) for record in own.values()]).text(3),
                *_against_base(study, records, variant, lambda record: record.mean(metric)),
                f'{first.parameters / 1e6:.3f} M',
                '' if first.multiply_adds is None else f'{first.multiply_adds / 1e6:.3f} M',
                f'{max(record.speed()[0] for record in own.values()):.2f}',
            ]
        )
    return rows


def clip_rows(study: Study, records: Records, metric: str = 'psnr') -> list[list[str]]:
    """Titles, then of each variant the difference to the base on each clip; of the base the metric itself."""
    clips = list(dict.fromkeys(name for record in records.values() for name in record.clips))
    rows = [[f'{metric.upper()}, differences', *clips]]
    for variant in study.variants:
        row = [variant]
        for clip in clips:

            def value(record: Record, clip: str = clip) -> float:
                return record.clips[clip].mean(metric)

            own = [value(records[variant, seed]) for seed in study.seeds if (variant, seed) in records]
            itself = spread_of(own).text(3) if own else ''
            row.append(itself if variant == study.base else _against_base(study, records, variant, value)[0])
        rows.append(row)
    return rows


def measure_rows(study: Study, records: Records) -> list[list[str]]:
    """Titles, then for each variant each measure of the study over seeds, and how it differs from the base.

    Parts of a squared error differ in dB, of which more is better, as if each were an error of its own.
    """
    metrics = study.score.metrics
    rows = [['variant']]
    for metric in metrics:
        rows[0] += [MEASURES[metric].title, 'better by, dB' if metric in PARTS_OF_MSE else 'against the base', 'p']
    for variant in study.variants:
        own = [records[variant, seed] for seed in study.seeds if (variant, seed) in records]
        row = [variant]
        for metric in metrics:

            def value(record: Record, metric: str = metric) -> float:
                mean = record.mean(metric)
                return -10 * math.log10(max(mean, 1e-12)) if metric in PARTS_OF_MSE else mean

            means = [record.mean(metric) for record in own]
            row.append(spread_of(means).text(MEASURES[metric].digits) if own else '')
            row += _against_base(study, records, variant, value)
        rows.append(row)
    return rows


def write_report(
    study: Study,
    records: Records,
    curves: Mapping[str, VariantCurves],
    notes: Sequence[str],
) -> str:
    """Writes `table.md` and `page.html` into the study's folder.

    Args:
        study: The study.
        records: What was scored.
        curves: By title.
        notes: Sentences below the tables.

    Returns:
        The tables, Markdown.
    """
    tables = [main_rows(study, records), clip_rows(study, records)]
    tables += [measure_rows(study, records)] if study.score.metrics else []
    how = (
        f'Base: {study.base}. {len(study.seeds)} seeds; mean ± standard deviation. Differences are of the same seed; '
        f'p is of the two-sided paired t-test. Scored on {study.score.clips}, {study.score.degradation}. '
        f'{describe(study.score.metrics)}'
    ).rstrip()
    shown = [markdown_table(titles, rows) for titles, *rows in tables]
    text = '\n'.join([f'# {study.name}\n', *shown, how, *(f'\n{note}' for note in notes)]) + '\n'
    write_text(study.folder / 'table.md', text)
    charts = [bands(title, by_variant) for title, by_variant in curves.items() if by_variant]
    write_text(study.folder / 'page.html', _page(study.name, tables, charts, [how, *notes]))
    return text


def _against_base(study: Study, records: Records, variant: str, value: Callable[[Record], float]) -> tuple[str, str]:
    """Mean difference to the base over the seeds that both have, and p."""
    seeds = [seed for seed in study.seeds if (variant, seed) in records and (study.base, seed) in records]
    if variant == study.base or not seeds:
        return '', ''
    own = [value(records[variant, seed]) for seed in seeds]
    base = [value(records[study.base, seed]) for seed in seeds]
    p = paired_p(own, base)
    difference = spread_of([one - other for one, other in zip(own, base, strict=True)])
    return difference.text(3, sign=True), '' if math.isnan(p) else f'{p:.3f}'


def _page(title: str, tables: Sequence[Sequence[Sequence[str]]], charts: Sequence[str], notes: Sequence[str]) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template('page.html.j2').render(title=title, tables=tables, charts=charts, notes=notes)
