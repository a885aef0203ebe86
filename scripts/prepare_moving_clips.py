"""Makes clips with fast motion and occlusions, to compare networks on: `python scripts/prepare_moving_clips.py`."""

import argparse
import sys
from pathlib import Path

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.data.small_training.moving import write_moving_clips


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('datasets/moving'), help='folder to make')
    args = parser.parse_args()
    try:
        print(f'{args.out}/GT: {", ".join(write_moving_clips(args.out))}')
    except (OSError, RuntimeError, ValueError) as error:
        print(f'prepare_moving_clips: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
