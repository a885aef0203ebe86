"""What windows of frames and tiles cost: their output against that for whole clips, and both against ground truth.

    python scripts/prepare_clips.py --frames 250 --out datasets/clips250
    python scripts/study_windows.py contexts --data datasets/clips250 -n basicvsr-reds
    python scripts/study_windows.py tiles --data datasets/clips250 -n basicvsr-reds --frames 12
    python scripts/study_windows.py precisions --data datasets/clips250 -n basicvsr-reds --frames 12

Each prints a table. `contexts` keeps 16 frames of a window, as the default of `basicsr infer` does, whatever its
context; of a long clip it takes `--windows` of the windows, spread evenly, and compares the frames that these give.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from gsm_plugin.cli.network_options import network_options
from gsm_plugin.inference.choices import RULES
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video.request import CONTEXT, WINDOW
from gsm_plugin.inference.video.windows import Window, plan_windows
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.studies.clips import StudyClip, read_clip

_KEPT = WINDOW - 2 * CONTEXT


class Errors:
    """Squared errors of frames against the output for whole clips, and of both against ground truth."""

    def __init__(self):
        self._rows: list[Tensor] = []

    def add(self, actual: Tensor, whole: Tensor, gt: Tensor, border: int = 0) -> None:
        """Takes frames (t, 3, h, w), of which `border` pixels at each side do not count."""
        inner = (..., slice(border, actual.shape[-2] - border), slice(border, actual.shape[-1] - border))
        actual, whole, gt = (frames[inner].clamp(0, 1) for frames in (actual, whole, gt))
        pairs = (actual, whole), (actual, gt), (whole, gt)
        self._rows.append(torch.stack([(a - b).square().mean((1, 2, 3)) for a, b in pairs], -1))

    def cells(self) -> list[str]:
        """Frames, dB from the whole, the same of the worst frame, dB of the whole to ground truth, and what is lost."""
        rows = torch.cat(self._rows).double()
        to_whole, to_gt, whole_to_gt = rows.unbind(-1)
        reached, lost = _db(whole_to_gt).mean(), (_db(whole_to_gt) - _db(to_gt)).mean()
        return [
            str(len(rows)),
            f'{_db(to_whole.mean()):.1f}',
            f'{_db(to_whole.max()):.1f}',
            f'{reached:.2f}',
            f'{lost:+.4f}',
        ]


_MEASURED = ['frames', 'dB from whole', 'worst frame', 'whole to truth, dB', 'lost, dB']


def main() -> None:
    args = _parse()
    restorer = Restorer.load(args.weights or args.name, precision='fp32', network=network_options(args.network))
    print(f'{restorer.describe()}\n{vars(args)}')
    args.study(args, restorer)


def _contexts(args: argparse.Namespace, restorer: Restorer) -> None:
    rows = []
    for clip in _clips(args):
        lq, gt = clip.lq[0], clip.gt[0]
        whole = restorer(lq)
        for context in args.contexts:
            length = _KEPT + 2 * context
            if length >= len(lq):
                continue
            errors = Errors()
            for window in _spread(plan_windows(0, len(lq), length, context), args.windows):
                kept = slice(window.keep_start, window.keep_stop)
                output = restorer(lq[window.start : window.stop])
                errors.add(output[kept.start - window.start : kept.stop - window.start], whole[kept], gt[kept])
            rows.append([clip.name, str(context), str(length), *errors.cells()])
            print(*rows[-1], flush=True)
    print(markdown_table(['clip', 'context', 'window', *_MEASURED], rows))


def _tiles(args: argparse.Namespace, restorer: Restorer) -> None:
    rows = []
    for clip in _clips(args):
        lq, gt = clip.lq[0], clip.gt[0]
        whole = restorer(lq)
        for rule in args.rules:
            for overlap in args.overlaps:
                tile = (len(lq), args.tile, args.tile)
                output = restorer.with_tile(tile, (0, overlap, overlap), rule)(lq)
                errors = Errors()
                errors.add(output, whole, gt, args.border * restorer.scale)
                rows.append([clip.name, rule, str(args.tile), str(overlap), *errors.cells()])
                print(*rows[-1], flush=True)
                if args.pictures:
                    _picture(args.pictures / f'{clip.name}_{rule}_{overlap}.png', output[-1] - whole[-1])
    print(markdown_table(['clip', 'rule', 'tile', 'overlap', *_MEASURED], rows))


def _precisions(args: argparse.Namespace, restorer: Restorer) -> None:
    rows = []
    for clip in _clips(args):
        lq, gt = clip.lq[0], clip.gt[0]
        whole = restorer(lq)
        for precision in args.precisions:
            other = Restorer(restorer.network, restorer.scale, restorer.handling, restorer.device, precision)
            errors = Errors()
            errors.add(other(lq), whole, gt)
            rows.append([clip.name, precision, *errors.cells()])
            print(*rows[-1], flush=True)
    measured = [name.replace('whole', 'fp32') for name in _MEASURED]
    print(markdown_table(['clip', 'precision', *measured], rows))


def _clips(args: argparse.Namespace) -> Iterator[StudyClip]:
    for name in args.clips:
        clip = read_clip(args.data, name, frames=args.frames, lq=args.lq)
        rows, columns = (min(side, args.crop or side) for side in clip.lq.shape[-2:])
        yield clip.part(0, 0, (rows, columns), args.frames)


def _spread(windows: list[Window], count: int) -> list[Window]:
    """So many of the windows, as evenly as it goes, both ends among them."""
    places = np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(int)
    return [windows[place] for place in places]


def _picture(path: Path, difference: Tensor) -> None:
    """Writes the difference of a frame, where mid-gray is none and 1/255 is 32 steps of gray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = (128 + difference * 255 * 32).clamp(0, 255).byte()
    cv2.imwrite(str(path), codes.movedim(0, -1).numpy()[..., ::-1].copy())


def _db(error: Tensor) -> Tensor:
    return -10 * error.log10()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    studies = parser.add_subparsers(required=True)
    contexts, tiles, precisions = (studies.add_parser(name) for name in ('contexts', 'tiles', 'precisions'))
    for study, run in ((contexts, _contexts), (tiles, _tiles), (precisions, _precisions)):
        study.set_defaults(study=run)
        weights = study.add_mutually_exclusive_group()
        weights.add_argument('-n', '--name', default='basicvsr-reds', help='name of known weights')
        weights.add_argument('-w', '--weights', type=Path, help='file of weights')
        study.add_argument('--network', nargs='+', default=[], metavar='KEY=VALUE', help='as in basicsr infer')
        study.add_argument('--data', type=Path, default=Path('datasets/clips'), help='folder of GT and LQ')
        study.add_argument('--lq', default='BIx4', help='folder of the LQ in it')
        study.add_argument('--clips', nargs='+', default=['bikes', 'carphone_pristine'])
        study.add_argument('--frames', type=int, default=250, help='frames of a clip at most')
        study.add_argument('--crop', type=int, default=0, help='side of the part that is taken, 0 for all')
    contexts.add_argument('--contexts', type=int, nargs='+', default=[4, 8, 16, 32, 64])
    contexts.add_argument('--windows', type=int, default=1000, help='windows at most of a clip and context')
    tiles.add_argument('--tile', type=int, default=96, help='side of a tile, in LQ pixels')
    tiles.add_argument('--overlaps', type=int, nargs='+', default=[50])
    tiles.add_argument('--rules', nargs='+', choices=RULES, default=list(RULES))
    tiles.add_argument('--border', type=int, default=8, help='LQ pixels at the edge of frames that do not count')
    tiles.add_argument('--pictures', type=Path, help='folder for pictures of the difference')
    precisions.add_argument('--precisions', nargs='+', default=['bf16'])
    return parser.parse_args()


if __name__ == '__main__':
    main()
