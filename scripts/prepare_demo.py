"""Makes the demo's data: `python scripts/prepare_demo.py`. A second run reuses what is there."""

import argparse
import sys
from pathlib import Path

from gsm_plugin.demo.clips import prepare_demo


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('datasets/demo'), help='folder to make')
    parser.add_argument('--videos', type=Path, help='folder of the downloaded videos; .cache beside --out by default')
    args = parser.parse_args()
    try:
        made = prepare_demo(args.videos or args.out.parent / '.cache', args.out)
    except (OSError, RuntimeError, ValueError) as error:
        print(f'prepare_demo: {error}', file=sys.stderr)
        return 2
    print(f'Demo data: {args.out} ({"made now" if made else "reused; remove the folder to make it again"})')
    return 0


if __name__ == '__main__':
    sys.exit(main())
