import json
import subprocess
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / 'scripts/benchmark/records'


def plot(*arguments):
    command = [sys.executable, ROOT / 'scripts/plot_growth.py', *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_two_records_become_a_picture(tmp_path):
    done = plot(RECORDS / 'h100_frames.json', RECORDS / 'h100_pixels.json', '-o', tmp_path / 'growth.png')
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / 'growth.png')).std() > 10


def test_another_file_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / 'other.json').write_text(json.dumps({'rows': [{}]}))
    done = plot(RECORDS / 'h100_frames.json', tmp_path / 'other.json', '-o', tmp_path / 'growth.png')
    assert done.returncode == 2
    assert 'give two records of scripts/benchmark.py' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['other.json']
