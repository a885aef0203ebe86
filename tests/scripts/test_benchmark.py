import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def benchmark(*arguments):
    command = [sys.executable, ROOT / 'scripts/benchmark.py', *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    'work, complaint',
    [
        ('infer:gsm:16x0x320:bf16', 'has 0 frames or pixels along a side; give 1 or more'),
        ('infer:gsm:-1x8x8:fp32', 'has -1 frames'),
        ('infer:gsm:8x8:fp32', 'neither one of table'),
        ('infer:nothing:1x8x8:fp32', "'nothing' is not one of"),
    ],
)
def test_a_work_that_cannot_be_is_named_in_one_sentence(work, complaint):
    done = benchmark(work)
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr


def test_record_and_table(tmp_path):
    done = benchmark('infer:bicubic:2x8x8:fp32', '--repeats', '2', '--name', 'mine', '--out', tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / 'mine.json').read_text())['rows']
    assert row['work'] == 'infer:bicubic:2x8x8:fp32'
    assert row['frames_per_second'] == 2 / row['median']
    assert f'| {row["work"]} |' in done.stdout


def test_the_restorer_and_both_grids_are_measured(tmp_path):
    works = 'restore:bicubic:2x8x8:fp32', 'infer:basicvsr-host-grid:1x64x64:fp32'
    done = benchmark(*works, '--repeats', '1', '--name', 'mine', '--out', tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row['work'] for row in json.loads((tmp_path / 'mine.json').read_text())['rows']] == list(works)


def test_a_film_is_enlarged_from_file_to_file(tmp_path):
    done = benchmark('film:gsm-demo:3x32x48:fp32', '--repeats', '1', '--name', 'mine', '--out', tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / 'mine.json').read_text())['rows']
    assert row['frames_per_second'] == 3 / row['median']
