import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[2]
RECORD = ROOT / 'scripts/benchmark/records/h200_171aafb.json'


@pytest.fixture
def results(tmp_path):
    for folder, crf in (('clean', None), ('crf23', 23.0)):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(('bicubic', 'basicvsr', 'gsm-small', 'gsm-small-video')):
            clips = {'a': {'values': {'psnr': [30.0 + number, 31.0]}}, 'b': {'values': {'psnr': [28.0]}}}
            record = {'protocol': {'crf': crf}, 'clips': clips}
            (tmp_path / folder / f'{name}.json').write_text(json.dumps(record))
    return tmp_path


def plot(results, *folders):
    command = [sys.executable, ROOT / 'scripts/plot_quality_speed.py', RECORD, *folders, '-o', results / 'chart.png']
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_every_folder_gets_a_panel(results):
    one = plot(results, results / 'clean')
    assert one.returncode == 0, one.stderr
    width = cv2.imread(str(results / 'chart.png')).shape[1]
    assert plot(results, results / 'clean', results / 'crf23').returncode == 0
    both = cv2.imread(str(results / 'chart.png'))
    assert both.std() > 10
    assert both.shape[1] == pytest.approx(2 * width, abs=2)


def test_missing_results_are_one_sentence_and_leave_nothing(results):
    (results / 'clean/gsm-small.json').unlink()
    done = plot(results, results / 'clean')
    assert done.returncode == 2
    assert 'folders of basicsr compare with bicubic and basicvsr, gsm-small' in done.stderr
    assert not (results / 'chart.png').exists()
