"""Makes an LMDB that BasicSR's datasets read from a folder of clips: `python scripts/make_lmdb.py FOLDER OUT.lmdb`.

`basicsr data lmdb create` does the same, and more.
"""

import argparse
import sys
from pathlib import Path

from gsm_plugin.compat import UserError
from gsm_plugin.data.tools.lmdb_making import make_lmdb


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='folder with one subfolder of images per clip')
    parser.add_argument('out', type=Path, help='the LMDB to make, a folder whose name ends in .lmdb')
    args = parser.parse_args()
    try:
        make_lmdb(args.folder, args.out)
    except (OSError, UserError) as error:
        print(f'make_lmdb: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
