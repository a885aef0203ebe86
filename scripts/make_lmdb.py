"""Makes an LMDB that BasicSR's datasets read from a folder of clips: `python scripts/make_lmdb.py FOLDER OUT.lmdb`."""

import argparse
import shutil
import sys
from pathlib import Path

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.data.frame_sources import FolderSource

_MARGIN = 2**26


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='folder with one subfolder of images per clip')
    parser.add_argument('out', type=Path, help='the LMDB to make, a folder whose name ends in .lmdb')
    args = parser.parse_args()
    try:
        make(args.folder, args.out)
    except (OSError, ValueError) as error:
        print(f'make_lmdb: {error}', file=sys.stderr)
        return 1
    return 0


def make(folder: Path, out: Path) -> None:
    """Makes the LMDB beside its place and moves it there when it is whole."""
    if out.suffix != '.lmdb':
        raise ValueError(f'{out} does not end in .lmdb; BasicSR reads only folders that do.')
    if out.exists():
        raise FileExistsError(f'{out} exists; remove it, or name another place.')
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    source = FolderSource(folder)
    frames = [(clip, i) for clip, names in source.frames.items() for i in range(len(names))]
    paths = [str(Path(source.where(clip, i)).relative_to(folder)) for clip, i in frames]
    keys = [str(Path(path).with_suffix('')) for path in paths]
    part = out.with_name(f'{out.stem}.part.lmdb')
    shutil.rmtree(part, ignore_errors=True)
    # Raw frames bound what their PNGs take; BasicSR would guess from the first one.
    sizes = [source.size(clip, 0) for clip, _ in frames]
    map_size = _MARGIN + sum(4 * height * width for height, width in sizes)
    make_lmdb_from_imgs(str(folder), str(part), paths, keys, multiprocessing_read=False, map_size=map_size)
    part.replace(out)


if __name__ == '__main__':
    sys.exit(main())
