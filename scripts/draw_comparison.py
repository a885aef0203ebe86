"""Draws what `basicsr compare` wrote as one picture, a strip a clip: `python scripts/draw_comparison.py`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.errors import UserError
from gsm_plugin.scoring.report.pictures import Panel, comparison_strip, region_size, write_comparison
from gsm_plugin.scoring.report.regions import choose_region

NETWORKS = ('bicubic', 'basicvsr', 'gsm-small')
_FOOTNOTE = 'PSNR of the frame. Magnified: the textured part where the last network gains most over the first.'


def main() -> int:
    args = _parse()
    clips = sorted(path for path in args.results.joinpath('pictures').glob('*') if path.is_dir())
    if not clips:
        print(f'draw_comparison: {args.results} has no pictures; run basicsr compare first.', file=sys.stderr)
        return 2
    try:
        strips = [_strip(clip, args.networks) for clip in clips]
    except UserError as error:
        print(f'draw_comparison: {error}', file=sys.stderr)
        return 2
    write_comparison(strips, _FOOTNOTE, args.out)
    print(args.out)
    return 0


def _strip(clip: Path, networks: Sequence[str]) -> Image.Image:
    lq, gt = _read(clip / 'LQ.png'), _read(clip / 'GT.png')
    outputs = {name: _read(clip / f'{name}.png') for name in networks}
    between = [Panel(name, f'{cv2.PSNR(output, gt):.2f} dB', output) for name, output in outputs.items()]
    panels = [Panel('LQ', '', lq), *between, Panel('GT', '', gt)]
    region = choose_region(outputs[networks[-1]], outputs[networks[0]], gt, region_size(gt.shape[:2], len(panels)))
    return comparison_strip(clip.name, 'middle frame', panels, region)


def _read(path: Path) -> np.ndarray:
    """(h, w, 3), uint8, RGB; the LQ frame of a comparison is written as large as the others."""
    if not path.is_file():
        raise UserError(f'{path} is missing; give --networks that basicsr compare was given.')
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--results', type=Path, default=Path('results/compare'), help='--out of basicsr compare')
    parser.add_argument('--networks', nargs='+', default=NETWORKS, help='in the order of the panels')
    parser.add_argument('--out', type=Path, default=Path('docs/weights.png'))
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
