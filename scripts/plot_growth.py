"""Draws how time and memory of inference grow: `python scripts/plot_growth.py RECORD_OF_FRAMES RECORD_OF_PIXELS`.

The records are those of `benchmark.py frames` and `benchmark.py pixels`; -o names the PNG.
"""

import argparse
import json
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gsm_plugin.files import whole_file

_COLOUR = '#0072b2'
# Smaller values, relative to the largest, have no room for a number.
_LEAST_LABEL = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('frames', type=Path, help='record of benchmark.py frames')
    parser.add_argument('pixels', type=Path, help='record of benchmark.py pixels')
    parser.add_argument('-o', '--out', type=Path, default=Path('growth.png'))
    args = parser.parse_args()
    try:
        records = [json.loads(path.read_text(encoding='utf-8')) for path in (args.frames, args.pixels)]
        draw(*records, args.out)
    except (OSError, ValueError, KeyError) as error:
        print(f'plot_growth: {error!r}; give two records of scripts/benchmark.py.', file=sys.stderr)
        return 2
    print(f'Picture: {args.out}')
    return 0


def draw(of_frames: dict, of_pixels: dict, path: Path) -> None:
    """Four panels: seconds and GiB over frames and over pixels, with a line from the first point to the last."""
    figure = Figure((10, 5.4), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(2, 2).T
    sizes = _sizes(of_frames)
    _column(left, of_frames, [frames for frames, _, _ in sizes])
    left[0].set_title(f'frames of {sizes[0][1]}x{sizes[0][2]}')
    left[1].set_xlabel('frames')
    sizes = _sizes(of_pixels)
    _column(right, of_pixels, [height * width / 1e3 for _, height, width in sizes])
    (frames, *first), (_, *last) = sizes[0], sizes[-1]
    right[0].set_title(f'{frames} frames of {first[0]}x{first[1]} to {last[0]}x{last[1]}')
    right[1].set_xlabel('thousand pixels of a frame')
    figure.suptitle(f'GSM, {of_frames["device"]}, torch {of_frames["packages"]["torch"]}', fontsize=10)
    with whole_file(path) as part:
        figure.savefig(part, format='png', dpi=110)


def _sizes(record: dict) -> list[list[int]]:
    """Frames, height and width of every work of a record."""
    return [[int(side) for side in row['work'].split(':')[2].split('x')] for row in record['rows']]


def _column(panels, record: dict, places: list[float]) -> None:
    for axes, key, unit in zip(panels, ('median', 'peak_gib'), ('seconds', 'GiB at most'), strict=True):
        values = [row[key] for row in record['rows']]
        axes.plot([places[0], places[-1]], [values[0], values[-1]], ':', color='grey', linewidth=1)
        axes.plot(places, values, 'o', color=_COLOUR)
        for place, value in zip(places, values, strict=True):
            if value < _LEAST_LABEL * max(values):
                continue
            axes.annotate(f'{value:.2f}', (place, value), (-4, 6), textcoords='offset points', ha='right', fontsize=8)
        axes.set_ylabel(unit)
        axes.set_ylim(0, 1.15 * max(values))
        axes.set_xlim(left=-0.08 * max(places))
        axes.grid(alpha=0.3)


if __name__ == '__main__':
    sys.exit(main())
