"""Makes the data of options/train_gsm_small_x4.yml: `python scripts/prepare_small_training.py`."""

import argparse
import sys
from pathlib import Path

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.data.small_training.making import pack, unpack


def main() -> int:
    args = _parse()
    packed = args.packed or args.pack or args.out.with_name(f'{args.out.name}_packed')
    try:
        if not packed.exists():
            pack(packed, args.cache, args.budget, args.videos)
        if args.pack is None:
            made = unpack(packed, args.out, args.longest)
            print(f'{args.out}: {", ".join(f"{count} {name}" for name, count in made.items())}')
    except (OSError, ValueError) as error:
        print(f'prepare_small_training: {error}', file=sys.stderr)
        return 2
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('datasets/small'), help='folder to make')
    parser.add_argument('--cache', type=Path, default=Path('datasets/.cache'), help='folder of what is downloaded')
    parser.add_argument('--longest', type=int, default=100, metavar='N', help='frames of a clip at most (default: 100)')
    parser.add_argument('--videos', type=Path, nargs='+', metavar='FILE', help='videos without cuts to add to the film')
    parser.add_argument('--pack', type=Path, metavar='FOLDER', help='make the packed material alone, to be carried')
    parser.add_argument('--packed', type=Path, metavar='FOLDER', help='take this packed material, fetch nothing')
    parser.add_argument('--budget', type=_bytes, default=float('inf'), metavar='50MiB', help='size of what is packed')
    return parser.parse_args()


def _bytes(text: str) -> float:
    units = {'KiB': 2**10, 'MiB': 2**20, 'GiB': 2**30}
    number, unit = text[:-3], text[-3:]
    if unit not in units or not number.replace('.', '', 1).isdigit():
        raise argparse.ArgumentTypeError(f'{text} is no size such as 50MiB')
    return float(number) * units[unit]


if __name__ == '__main__':
    sys.exit(main())
