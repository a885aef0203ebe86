"""Keeps all that was ever measured in one table: `python scripts/benchmark_history.py add RECORD.json ...`.

`add` puts the rows of records of `scripts/benchmark.py` into scripts/benchmark/history.csv, each once. `spread
WORK ...` prints the slowest, the median and the fastest run of works, such as infer:basicvsr:16x180x320:bf16.
"""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path

from gsm_plugin.scoring.report.tables import markdown_table

HISTORY = Path(__file__).parent / 'benchmark/history.csv'
COLUMNS = ('record', 'commit', 'device', 'python', 'torch', 'triton', 'work', 'median_s', 'fps', 'peak_gib')


def main() -> int:
    args = _parse()
    rows = read_history()
    if args.action == 'add':
        known = {(row['record'], row['work']) for row in rows}
        new = [row for path in args.what for row in rows_of(Path(path)) if (row['record'], row['work']) not in known]
        write_history([*rows, *new])
        print(f'{len(new)} rows added, {len(rows)} were there: {HISTORY}')
        return 0
    unknown = [work for work in args.what if work not in {row['work'] for row in rows}]
    if unknown:
        print(f'{unknown[0]} was never measured; see the column work of {HISTORY}.', file=sys.stderr)
        return 2
    print(spread(rows, args.what))
    return 0


def read_history() -> list[dict[str, str]]:
    """All rows, as text."""
    if not HISTORY.exists():
        return []
    with HISTORY.open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def write_history(rows: list[dict[str, str]]) -> None:
    """Replaces the table."""
    with HISTORY.open('w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a record."""
    record = json.loads(path.read_text(encoding='utf-8'))
    shared = {
        'record': path.stem,
        'commit': record['commit'],
        'device': record['device'],
        'python': record['python'],
        'torch': record['packages']['torch'],
        'triton': record['packages'].get('triton') or '',
    }
    return [
        shared
        | {
            'work': row['work'],
            'median_s': f'{row["median"]:.6g}',
            'fps': f'{row["frames_per_second"]:.5g}',
            'peak_gib': '' if row['peak_gib'] is None else f'{row["peak_gib"]:.4g}',
        }
        for row in record['rows']
    ]


def spread(rows: list[dict[str, str]], works: list[str]) -> str:
    """A table of the frames per second of works over all runs on the device that has most of them."""
    cells = []
    for work in works:
        found = [row for row in rows if row['work'] == work]
        device = statistics.mode(row['device'] for row in found)
        speeds = [float(row['fps']) for row in found if row['device'] == device]
        values = min(speeds), statistics.median(speeds), max(speeds)
        cells.append([work, device, str(len(speeds)), *(f'{value:.2f}' for value in values)])
    return markdown_table(['work, fps', 'device', 'runs', 'slowest', 'median', 'fastest'], cells)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=('add', 'spread'))
    parser.add_argument('what', nargs='+', help='records, or works')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
