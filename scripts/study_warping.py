"""How well frames agree with the anchor that they are warped to: `python scripts/study_warping.py`.

    python scripts/prepare_clips.py --frames 250 --out datasets/clips250
    python scripts/study_warping.py --clips datasets/clips250

Prints two tables, over the distance and over windows, and draws a picture; docs/findings.md says what they mean.
Nothing is trained, and of a network only its SPyNet is taken.
"""

import argparse
import sys
from pathlib import Path

import torch

from gsm_plugin.archs.flow_estimation import build_spynet
from gsm_plugin.errors import UserError
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.studies.clips import clip_names, read_clip
from gsm_plugin.studies.flow import warping_report
from gsm_plugin.studies.flow.warping import ClipWarping, measure_warping
from gsm_plugin.weights.finding import FOLDER, find_file


def main() -> int:
    args = _parse()
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        clips = _measure(args, device)
    except UserError as error:
        print(f'study_warping: {error}', file=sys.stderr)
        return 2
    print(markdown_table(warping_report.DISTANCE_COLUMNS, warping_report.rows_of_distances(clips)))
    print(markdown_table(warping_report.WINDOW_COLUMNS, warping_report.rows_of_windows(clips)))
    warping_report.draw_warping(clips, args.out)
    place = torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'
    print(f'{place}, Python {sys.version.split()[0]}, torch {torch.__version__}, {args.weights}, {args.out}')
    return 0


def _measure(args: argparse.Namespace, device: torch.device) -> list[ClipWarping]:
    spynet = build_spynet(find_file(args.weights, FOLDER)[1]).to(device)
    measured = []
    for name in clip_names(args.clips, args.lq):
        measured.append(measure_warping(name, read_clip(args.clips, name, device, args.frames, args.lq).lq, spynet))
        scenes = ', '.join(str(len(pairs['error'])) for pairs in measured[-1].scenes['exact'])
        print(f'{name}: scenes of {scenes} frames', flush=True)
    return measured


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--clips', type=Path, default=Path('datasets/clips'), help='folder of LQ and GT')
    parser.add_argument('--lq', default='BIx4', help='folder of the LQ in it')
    parser.add_argument('--frames', type=int, help='frames of a clip at most')
    parser.add_argument('--weights', default='gsm-small-x4', help='whose SPyNet: a file, or a name of known weights')
    parser.add_argument('--out', type=Path, default=Path('results/study_warping/warping_error.png'))
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
