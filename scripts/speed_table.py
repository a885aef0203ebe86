"""Writes the speed table into README.md and docs/performance.md: `python scripts/speed_table.py`.

The pages name the record of `scripts/benchmark.py` that the table is made of, in a comment in front of it.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from gsm_plugin.scoring.report.tables import markdown_table

ROOT = Path(__file__).parents[1]
PAGES = ('README.md', 'docs/performance.md')
BLOCK = re.compile(r'(<!-- speed: (\S+) -->\n)(.*?)(<!-- /speed -->)', re.DOTALL)
COLUMNS = {
    '16x180x320, bf16': 'infer:{}:16x180x320:bf16',
    '16x180x320, fp32': 'infer:{}:16x180x320:fp32',
    'REDS4 tile, bf16': 'infer:{}:100x144x144:bf16',
    'training step, bf16': 'train:{}:16x64x64:bf16',
}
ROWS = {'GSM, here': 'gsm', 'BasicVSR++': 'basicvsrpp', 'BasicVSR': 'basicvsr'}
# arXiv 2510.00862's code, run by us on an H100; its tile and its training step in float32.
PUBLISHED = ['GSM, published code, H100', '5.0 fps', '3.5 fps', '9.8 fps (fp32)', '3.69 s, 57.8 GiB (fp32)']


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for page in (ROOT / name for name in PAGES):
        page.write_text(filled(page.read_text(encoding='utf-8')), encoding='utf-8')
    return 0


def filled(page: str) -> str:
    """A page whose marked tables are those of the records that their marks name."""
    return BLOCK.sub(lambda found: f'{found[1]}{table(ROOT / found[2])}{found[4]}', page)


def table(path: Path) -> str:
    """Speed and peak memory of each network in a record, a column for each kind of work."""
    record = json.loads(path.read_text(encoding='utf-8'))
    rows = {row['work']: row for row in record['rows']}
    cells = [
        [name, *(_cell(rows.get(work.format(network))) for work in COLUMNS.values())] for name, network in ROWS.items()
    ]
    versions = ', '.join(f'{name} {record["packages"][name]}' for name in ('torch', 'triton'))
    source = f'{record["device"]}, {versions}, Python {record["python"]}; medians, peak memory of PyTorch.'
    return f'{markdown_table(["", *COLUMNS], [cells[0], PUBLISHED, *cells[1:]])}\n{source}\n'


def _cell(row: dict | None) -> str:
    if row is None:
        return ''
    is_training = row['work'].startswith('train')
    speed = f'{row["median"]:.2f} s' if is_training else f'{row["frames_per_second"]:.1f} fps'
    return f'{speed}, {row["peak_gib"]:.2f} GiB'


if __name__ == '__main__':
    sys.exit(main())
