"""Charts as SVG for a page, drawn by Matplotlib, which is imported only where something is drawn."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by people with colour blindness too (Okabe and Ito), on white.
PALETTE = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#6f4e9c', '#7f7f7f')
_GREY = '#8a8a8f'


@dataclass(frozen=True)
class Point:
    """A network in the chart of quality over speed.

    Attributes:
        title: Its name.
        fps: Frames per second.
        psnr: dB.
        measured: Whether by us, or published.
    """

    title: str
    fps: float
    psnr: float
    measured: bool


def quality_over_speed(points: Sequence[Point]) -> str:
    """Draws PSNR over frames per second, on a logarithmic scale: ours filled, published ones hollow.

    Returns:
        An `svg` element; empty where there is no point.
    """
    points = [point for point in points if math.isfinite(point.psnr)]
    if not points:
        return ''
    figure, axes = _figure(7.6, 4.4)
    for measured, style in ((False, {'mfc': 'white', 'color': _GREY}), (True, {'color': PALETTE[0]})):
        shown = [point for point in points if point.measured == measured]
        kind = 'measured here' if measured else 'published'
        if shown:
            axes.plot([p.fps for p in shown], [p.psnr for p in shown], 'o', label=kind, ms=8, mew=1.6, **style)
        for point in shown:
            colour = '#1d1d1f' if measured else _GREY
            place = {'xytext': (7, 5), 'textcoords': 'offset points', 'fontsize': 9}
            axes.annotate(point.title, (point.fps, point.psnr), color=colour, **place)
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
    axes.xaxis.set_minor_formatter(lambda value, _: f'{value:g}' if f'{value:.0e}'[0] in '25' else '')
    axes.margins(0.14, 0.16)
    axes.set_xlabel('frames per second')
    axes.set_ylabel('PSNR, dB')
    if len({point.measured for point in points}) == 2:
        axes.legend(frameon=False, loc='best')
    return _svg(figure, 'quality-speed')


def curves(title: str, values: Mapping[str, Sequence[float]], x_label: str) -> str:
    """Draws the PSNR of each network over frames or clips.

    Args:
        title: Name of the clip.
        values: PSNR, dB, by network; infinite ones are left out.
        x_label: What is along the axis.

    Returns:
        An `svg` element.
    """
    figure, axes = _figure(7.6, 2.9)
    for number, (label, row) in enumerate(values.items()):
        shown = [value if math.isfinite(value) else math.nan for value in row]
        style = {'color': PALETTE[number % len(PALETTE)], 'lw': 1.8, 'marker': 'o' if len(shown) < 30 else None}
        axes.plot(range(len(shown)), shown, label=label, ms=3.5, **style)
    axes.set_title(title, loc='left', fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel('PSNR, dB')
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc='center left', bbox_to_anchor=(1, 0.5))
    return _svg(figure, f'curves-{title}')


def bands(title: str, curves: Mapping[str, Sequence[Mapping[int, float]]]) -> str:
    """Draws for each variant the mean of its runs and a band from the lowest to the highest.

    Args:
        title: What is drawn.
        curves: By variant, of each run values by iteration; iterations that not all its runs have are left out.

    Returns:
        An `svg` element.
    """
    figure, axes = _figure(7.6, 3.4)
    for number, (label, runs) in enumerate(curves.items()):
        steps = sorted(set.intersection(*(set(run) for run in runs)))
        rows = [[run[step] for run in runs] for step in steps]
        colour = PALETTE[number % len(PALETTE)]
        axes.fill_between(steps, [min(row) for row in rows], [max(row) for row in rows], color=colour, alpha=0.18, lw=0)
        axes.plot(steps, [sum(row) / len(row) for row in rows], label=label, color=colour, lw=1.8, marker='o', ms=3)
    axes.set_title(title, loc='left', fontsize=11)
    axes.set_xlabel('iteration')
    axes.legend(frameon=False, loc='center left', bbox_to_anchor=(1, 0.5))
    return _svg(figure, f'bands-{title}')


def _figure(width: float, height: float):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout='constrained')
    axes = figure.subplots()
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#e8e8ed', lw=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Figure, salt: str) -> str:
    import matplotlib

    # The salt keeps the names inside apart where several charts stand in one page, and the file the same in every run.
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': salt, 'font.family': 'sans-serif'}):
        buffer = io.StringIO()
        figure.savefig(buffer, format='svg', metadata={'Date': None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index('<svg') :]
