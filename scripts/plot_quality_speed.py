"""Draws quality over speed: `python scripts/plot_quality_speed.py RECORD results/clean results/crf23`.

RECORD is of `benchmark.py` on one card; the others are folders of `basicsr compare`, a panel each. A network stands at
the speed that the record has for its architecture and at its mean PSNR; bicubic interpolation, which costs next to
nothing, is a line.
"""

import argparse
import json
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gsm_plugin.files import whole_file

# What the works of records call the networks of comparisons, and the colours of these.
SPEEDS = {'basicvsr': 'basicvsr', 'gsm-small': 'gsm-64', 'gsm-small-video': 'gsm-64'}
COLOURS = {'basicvsr': '#d55e00', 'gsm-small': '#0072b2', 'gsm-small-video': '#009e73'}
_WORK = 'infer:{}:16x180x320:bf16'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('record', type=Path, help='record of benchmark.py, with ' + _WORK.format('gsm-64'))
    parser.add_argument('results', type=Path, nargs='+', help='folders of basicsr compare')
    parser.add_argument('-o', '--out', type=Path, default=Path('quality_speed.png'))
    args = parser.parse_args()
    try:
        draw(json.loads(args.record.read_text(encoding='utf-8')), args.results, args.out)
    except (OSError, ValueError, KeyError) as error:
        print(
            f'plot_quality_speed: {error!r}; give a record of scripts/benchmark.py that has the works of '
            f'{", ".join(SPEEDS.values())}, and folders of basicsr compare with bicubic and {", ".join(SPEEDS)}.',
            file=sys.stderr,
        )
        return 2
    print(f'Picture: {args.out}')
    return 0


def draw(record: dict, folders: list[Path], path: Path) -> None:
    """A panel for each folder, with a point for each network."""
    speeds = {row['work']: row['frames_per_second'] for row in record['rows']}
    figure = Figure((5.4 * len(folders), 4), layout='constrained')
    FigureCanvasAgg(figure)
    for axes, folder in zip(figure.subplots(1, len(folders), squeeze=False)[0], folders, strict=True):
        _panel(axes, speeds, folder)
    figure.suptitle(
        f'16 frames of 180x320 in bf16, {record["device"]}, torch {record["packages"]["torch"]}', fontsize=10
    )
    with whole_file(path) as part:
        figure.savefig(part, format='png', dpi=110)


def _panel(axes: Axes, speeds: dict[str, float], folder: Path) -> None:
    level, protocol = _psnr(folder, 'bicubic')
    axes.axhline(level, color='grey', linestyle=':')
    axes.annotate(f'bicubic, {level:.2f}', (2, level), (0, 4), textcoords='offset points', color='grey', fontsize=9)
    for name, work in SPEEDS.items():
        speed, quality = speeds[_WORK.format(work)], _psnr(folder, name)[0]
        axes.plot(speed, quality, 'o', color=COLOURS[name])
        label = f'{name}\n{quality:.2f} dB, {speed:.0f} fps'
        axes.annotate(label, (speed, quality), (-8, 0), textcoords='offset points', ha='right', va='center', fontsize=9)
    crf = protocol.get('crf')
    axes.set_title('clean LQ' if crf is None else f'LQ of H.264 with crf {crf:g}', fontsize=10)
    axes.set_xlim(0, 1.1 * max(speeds[_WORK.format(work)] for work in SPEEDS.values()))
    axes.margins(y=0.15)
    axes.set_xlabel('frames a second')
    axes.set_ylabel('PSNR, dB, mean over clips')
    axes.grid(alpha=0.3)


def _psnr(folder: Path, network: str) -> tuple[float, dict]:
    """Mean over clips of the means over frames, and how the comparison was made."""
    found = json.loads((folder / f'{network}.json').read_text(encoding='utf-8'))
    values = [clip['values']['psnr'] for clip in found['clips'].values()]
    return sum(sum(of_clip) / len(of_clip) for of_clip in values) / len(values), found['protocol']


if __name__ == '__main__':
    sys.exit(main())
