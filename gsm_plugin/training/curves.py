"""Draws the curves of trainings, one panel for each loss and metric, one colour for each run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from gsm_plugin.files import CURVES, whole_file
from gsm_plugin.training.training_log import Curve, TrainingLog

# Okabe and Ito's colours, which the colour-blind can tell apart; the yellow is too pale for lines.
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#000000')
_DASHES: tuple[Literal['-', '--', ':', '-.'], ...] = ('-', '--', ':', '-.')
_PANEL = (5.6, 3.4)
# So many points are averaged that a curve keeps this many independent ones.
_SMOOTH_POINTS = 50


def draw_curves(logs: Sequence[TrainingLog], path: str | Path) -> None:
    """Writes a PNG with the losses (as logged, pale, and smoothed), metrics, learning rates and gradient norms.

    Args:
        logs: The runs; at least one, each with at least one curve.
        path: The file, which is replaced in one go.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(_panels(logs))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((_PANEL[0] * columns, _PANEL[1] * rows + 0.4), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (title, unit, curves) in zip(grid, panels, strict=False):
        _draw_panel(axes, title, unit, curves, several_runs=len(logs) > 1)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    _name_runs(figure, logs)
    _save(figure, Path(path))


def smooth(values: np.ndarray) -> np.ndarray:
    """The running mean of a curve over a fiftieth of its points, fewer at its ends; what is not finite is left out."""
    half = len(values) // (2 * _SMOOTH_POINTS)
    good = np.isfinite(values)
    sums = np.concatenate([[0.0], np.where(good, values, 0.0).cumsum()])
    counts = np.concatenate([[0], good.cumsum()])
    position = np.arange(len(values))
    # As many points on either side where the curve is steep, at its start; at its end those before count alone.
    before = np.minimum(half, position)
    first, last = position - before, position + np.minimum(before, len(values) - 1 - position) + 1
    number = counts[last] - counts[first]
    return np.where(number > 0, (sums[last] - sums[first]) / np.maximum(number, 1), np.nan)


def _panels(logs: Sequence[TrainingLog]) -> Iterator[tuple[str, str, list]]:
    """Per panel its title, its kind, and its curves as (run, data set, curve)."""
    for name in _every(log.losses for log in logs):
        # A count of what never happened, such as of skipped steps, is no picture.
        if any(value != 0 for log in logs for value in log.losses.get(name, {}).values()):
            yield name, 'loss', [(i, None, log.losses[name]) for i, log in enumerate(logs) if name in log.losses]
    for name in _every(log.metrics for log in logs):
        found = [(i, log.metrics[name]) for i, log in enumerate(logs) if name in log.metrics]
        yield name, 'metric', [(i, dataset, curve) for i, sets in found for dataset, curve in sets.items()]
    for title, kind, attribute in (('learning rate', 'rate', 'lr'), ('gradient norm', 'loss', 'grad_norm')):
        curves = [(i, None, getattr(log, attribute)) for i, log in enumerate(logs) if getattr(log, attribute)]
        if curves:
            yield title, kind, curves


def _every(groups) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _draw_panel(axes, title: str, kind: str, curves: list[tuple[int, str | None, Curve]], several_runs: bool) -> None:
    datasets = _every([dataset] for _, dataset, _ in curves if dataset is not None)
    for run, dataset, curve in curves:
        # A point between two that are no numbers would not be seen; how many there are is said beside the picture.
        steps = [step for step in sorted(curve) if np.isfinite(curve[step])]
        x, y = np.array(steps), np.array([curve[step] for step in steps])
        style = {'color': _COLOURS[run % len(_COLOURS)], 'linewidth': 1.6}
        if len(steps) == 1:
            # A line through one point shows nothing, such as the loss of a training that diverged after its first step.
            style |= {'marker': 'o', 'markersize': 3}
        if kind == 'loss':
            axes.plot(x, y, color=style['color'], linewidth=0.6, alpha=0.3)
            axes.plot(x, smooth(y), **style)
        elif kind == 'rate':
            axes.plot(x, y, **style)
        elif dataset is not None:
            dash = _DASHES[datasets.index(dataset) % len(_DASHES)]
            axes.plot(x, y, dash, label=dataset, **{'marker': 'o', 'markersize': 3, **style})
    axes.set_title(title, loc='left', fontsize=10)
    axes.set_xlabel('iteration', fontsize=8)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.spines[['top', 'right']].set_visible(False)
    if kind == 'loss' and not any(value <= 0 for _, _, curve in curves for value in curve.values()):
        axes.set_yscale('log')
    elif kind == 'rate':
        axes.ticklabel_format(axis='y', style='sci', scilimits=(0, 0))
    axes.tick_params(which='both', labelsize=8)
    if datasets:
        _name_datasets(axes, datasets, several_runs)


def _name_datasets(axes, datasets: Sequence[str], several_runs: bool) -> None:
    from matplotlib.lines import Line2D

    colour = '0.3' if several_runs else _COLOURS[0]
    lines = [Line2D([], [], linestyle=_DASHES[i % len(_DASHES)], color=colour) for i in range(len(datasets))]
    axes.legend(lines, datasets, fontsize=8, frameon=False)


def _name_runs(figure, logs: Sequence[TrainingLog]) -> None:
    from matplotlib.lines import Line2D

    if len(logs) == 1:
        figure.suptitle(logs[0].name, fontsize=11)
        return
    lines = [Line2D([], [], color=_COLOURS[i % len(_COLOURS)], linewidth=2) for i in range(len(logs))]
    names = [log.name for log in logs]
    figure.legend(lines, names, loc='outside upper center', ncols=min(4, len(logs)), fontsize=9, frameon=False)


def _save(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        # by which another run knows its own
        figure.savefig(part, format='png', dpi=150, metadata={'Software': CURVES.decode()})
