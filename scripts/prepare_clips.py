"""Makes small data sets of real frames: `python scripts/prepare_clips.py`.

Without arguments three clips with their LQ, datasets/clips; with --layout a leaderboard's layout with few frames in it.
"""

import argparse
import sys
from pathlib import Path

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.demo.miniature import read_real_clips, write_clips, write_miniature


def main() -> int:
    args = _parse()
    try:
        clips = read_real_clips(args.videos, args.frames)
        if args.layout is None:
            write_clips(clips, args.out or 'datasets/clips')
        else:
            out = args.out or f'datasets/miniature_{args.layout}'
            write_miniature(PROTOCOLS[args.layout], clips['bikes'], args.length, args.clips, out)
    except (OSError, RuntimeError, ValueError) as error:
        print(f'prepare_clips: {error}', file=sys.stderr)
        return 2
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--layout', choices=PROTOCOLS, help='leaderboard whose layout is made')
    parser.add_argument('--out', help='folder to make; below datasets by default')
    parser.add_argument('--videos', type=Path, default=Path('datasets/.cache'), help='folder of the downloaded videos')
    parser.add_argument('--frames', type=int, default=15, help='frames that are read of each video')
    parser.add_argument('--length', type=int, default=5, help='frames of a clip of a layout')
    parser.add_argument('--clips', type=int, default=3, help='clips of a layout')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
