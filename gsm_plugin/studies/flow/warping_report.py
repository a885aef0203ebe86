"""Tables and a picture of the warping error (docs/findings.md)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsm_plugin.ops import COMPOSITIONS
from gsm_plugin.studies.flow.warping import (
    ANCHORS,
    REACH,
    SHARES,
    SIZES,
    ClipWarping,
    Estimate,
    mean_distance,
    mean_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {'error': 'error', 'visible error': 'of visible', 'occluded': 'occluded, %'}
DISTANCE_COLUMNS = (
    'clip',
    'frames apart',
    'no motion',
    *(f'{title}: {what}' for title in _TITLES.values() for what in (*COMPOSITIONS, 'difference')),
    'outside, %',
)
WINDOW_COLUMNS = (
    'clip',
    'window',
    'composition',
    *(f'{title}: {what}' for title in _TITLES.values() for what in (*ANCHORS, 'difference')),
)

# The window whose means the picture shows.
_SIZE = 5
_MARKS: dict[str, dict[str, Any]] = {
    'center': {'marker': 'o', 'color': 'tab:green'},
    'forward': {'marker': 's', 'color': 'tab:red'},
}


def rows_of_distances(clips: Sequence[ClipWarping]) -> list[list[str]]:
    """Rows of `DISTANCE_COLUMNS`: each clip and their mean, with standard errors.

    Differences are reference less exact, of the same frames.
    """
    return [
        [
            name,
            str(distance),
            _text('still', _at(group, 'exact', 'still', distance)),
            *(cell for measure in _TITLES for cell in _distance_cells(group, measure, distance)),
            _text('outside', _at(group, 'exact', 'outside', distance)),
        ]
        for name, group in _groups(clips).items()
        for distance in range(1, REACH + 1)
    ]


def rows_of_windows(clips: Sequence[ClipWarping]) -> list[list[str]]:
    """Rows of `WINDOW_COLUMNS`: means over the frames of windows, with standard errors.

    Differences are forward less centre, of the same windows.
    """
    return [
        [
            name,
            str(size),
            composition,
            *(cell for measure in _TITLES for cell in _window_cells(group, composition, measure, size)),
        ]
        for name, group in _groups(clips).items()
        for size in SIZES
        for composition in COMPOSITIONS
    ]


def draw_warping(clips: Sequence[ClipWarping], path: Path) -> None:
    """Draws error and occluded share over the distance, a column for each clip and one for their mean, into a PNG."""
    from matplotlib.figure import Figure

    groups = _groups(clips)
    figure = Figure((3.1 * len(groups), 6.4), layout='constrained')
    axes = figure.subplots(2, len(groups), sharex=True, squeeze=False)
    for (name, group), (error, occluded) in zip(groups.items(), axes.T, strict=True):
        _draw(error, group, 'error')
        _curve(error, group, 'exact', 'still', color='grey', linestyle=':', label='no motion')
        _draw(occluded, group, 'occluded')
        error.set_title(name)
        for axis in (error, occluded):
            axis.set_ylim(bottom=0)
        occluded.set_xlabel('frames from the anchor')
        occluded.set_xticks(range(REACH + 1))
    axes[0, 0].set_ylabel('mean absolute error, thousandths')
    axes[1, 0].set_ylabel('occluded, % of the pixels')
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc='outside lower center', ncols=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _groups(clips: Sequence[ClipWarping]) -> dict[str, Sequence[ClipWarping]]:
    """Each clip on its own, and all of them."""
    return {clip.clip: [clip] for clip in clips} | {'mean': clips}


def _at(clips: Sequence[ClipWarping], composition: str, measure: str, distance: int) -> Estimate:
    return mean_of([clip.at(composition, measure, distance) for clip in clips])


def _of_windows(clips: Sequence[ClipWarping], composition: str, measure: str, size: int, anchor: str) -> Estimate:
    return mean_of([clip.of_windows(composition, measure, size, anchor) for clip in clips])


def _draw(axis: 'Axes', clips: Sequence[ClipWarping], measure: str) -> None:
    _curve(axis, clips, 'reference', measure, color='tab:blue', label='composed as published')
    _curve(axis, clips, 'exact', measure, color='tab:orange', linestyle='--', label='composed exactly')
    for anchor, style in _MARKS.items():
        mean = _scaled(measure, _of_windows(clips, 'reference', measure, _SIZE, anchor)).mean
        label = f'frames of windows of {_SIZE}, anchor {anchor}'
        axis.plot(mean_distance(_SIZE, anchor), mean, linestyle='', markersize=8, label=label, zorder=3, **style)
    axis.grid(alpha=0.3)


def _curve(axis: 'Axes', clips: Sequence[ClipWarping], composition: str, measure: str, **style: Any) -> None:
    distances = range(1, REACH + 1)
    values = [_scaled(measure, _at(clips, composition, measure, distance)) for distance in distances]
    means, errors = [value.mean for value in values], [value.error for value in values]
    axis.errorbar(distances, means, errors, marker='.', capsize=2, **style)


def _distance_cells(clips: Sequence[ClipWarping], measure: str, distance: int) -> list[str]:
    means = [_at(clips, composition, measure, distance) for composition in COMPOSITIONS]
    difference = mean_of([clip.reference_above_exact(measure, distance) for clip in clips])
    return [*(_text(measure, mean) for mean in means), _text(measure, difference, '+')]


def _window_cells(clips: Sequence[ClipWarping], composition: str, measure: str, size: int) -> list[str]:
    means = [_of_windows(clips, composition, measure, size, anchor) for anchor in ANCHORS]
    difference = mean_of([clip.forward_above_center(composition, measure, size) for clip in clips])
    return [*(_text(measure, mean) for mean in means), _text(measure, difference, '+')]


def _text(measure: str, estimate: Estimate, sign: str = '') -> str:
    value = _scaled(measure, estimate)
    return f'{value.mean:{sign}.2f} ± {value.error:.2f}'


def _scaled(measure: str, estimate: Estimate) -> Estimate:
    """Errors in thousandths, shares in percent."""
    scale = 100 if measure in SHARES else 1000
    return Estimate(scale * estimate.mean, scale * estimate.error)
