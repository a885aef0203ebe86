"""Estimates days and memory of trainings from measured steps: `python scripts/estimate_training.py RECORD OPTIONS...`.

RECORD is what scripts/benchmark.py wrote, with works such as train:gsm:16x64x64:bf16. A step of another number of
frames is taken to last in proportion; a recipe of another window, crop or network than was measured is passed over.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.options.reading import read_options
from gsm_plugin.scoring.report.tables import markdown_table

_GPUS = (1, 4, 8)
_BATCH = 8
_MEASURED = {'prop_depth': 4, 'attn_depth': 4, 'pa_frame': 2, 'embed_dims': 192, 'num_heads': 8}
# Adam's two moments and the average of the weights, in float32, and the buckets of DistributedDataParallel.
_BYTES_PER_PARAMETER = 16
_PARAMETERS = 10_455_919
_DAY = 86400
_HEADER = ['recipe', 'frames', 'precision', *(f'{gpus} GPU: accumulate, days' for gpus in _GPUS), 'GiB on each']


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('record', type=Path)
    parser.add_argument('options', type=Path, nargs='+')
    args = parser.parse_args()
    try:
        print(table(args.record, args.options), end='')
    except (OSError, ValueError, KeyError) as error:
        print(f'estimate_training: {error}', file=sys.stderr)
        return 2
    return 0


def table(record: Path, files: list[Path]) -> str:
    """The estimates as Markdown.

    Raises:
        UserError: The record has no training step.
    """
    steps = _measured_steps(record)
    rows = [row for file in files for row in _rows(file, steps)]
    return markdown_table(_HEADER, rows)


def _measured_steps(record: Path) -> dict[str, dict]:
    rows = [
        row for row in json.loads(record.read_text(encoding='utf-8'))['rows'] if row['work'].startswith('train:gsm:')
    ]
    if not rows:
        raise UserError(f'{record} has no work train:gsm:...; measure one by scripts/benchmark.py.')
    return {row['work'].split(':')[3]: row for row in rows}


def _rows(file: Path, steps: dict[str, dict]) -> Iterator[list[str]]:
    options = read_options(str(file))
    network, data = options['network_g'], options['datasets']['train']
    if any(network.get(key) != value for key, value in _MEASURED.items()):
        return
    frames = data['num_frame'] * (2 if data.get('flip_sequence') else 1)
    for precision, step in sorted(steps.items()):
        measured_frames, height, _ = (int(side) for side in step['work'].split(':')[2].split('x'))
        if data['gt_size'] != height * network['upscale']:
            continue
        seconds = step['median'] * frames / measured_frames
        cells = [_days(seconds, options['train']['total_iter'], gpus) for gpus in _GPUS]
        memory = _gib(step['peak_gib'], is_bound=frames != measured_frames)
        yield [file.stem, str(frames), precision, *cells, memory]


def _gib(measured: float | None, is_bound: bool) -> str:
    """Memory of a training, where the record has that of a step."""
    if measured is None:
        return '?'
    return f'{"up to " if is_bound else ""}{measured + _BYTES_PER_PARAMETER * _PARAMETERS / 2**30:.1f}'


def _days(seconds: float, steps: int, gpus: int) -> str:
    accumulate = _BATCH // gpus
    return f'{accumulate}, {seconds * accumulate * steps / _DAY:.1f}'


if __name__ == '__main__':
    sys.exit(main())
