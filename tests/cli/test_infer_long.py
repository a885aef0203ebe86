"""Long films in little memory: minutes, so that these tests are marked slow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inference.video.films import make_film, scene

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_film_of_20000_frames_takes_the_memory_of_one_of_1000(tmp_path):
    peaks = {}
    for frames in (1000, 20_000):
        source = make_film(tmp_path / f'{frames}.mkv', scene(frames, 16, 24), codec='libx264')
        report = tmp_path / f'{frames}.json'
        words = ['-i', source, '-o', tmp_path / f'out_{frames}.mkv', '--network', 'type=Bicubic', 'upscale=2']
        command = [sys.executable, '-m', 'gsm_plugin', 'infer', *map(str, words), '--report', str(report)]
        subprocess.run(command, check=True, env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})
        run = json.loads(report.read_text(encoding='utf-8'))['runs'][0]
        assert run['frames'] == frames
        peaks[frames] = run['peak']['host_mib']
    print(peaks)
    assert peaks[20_000] <= 1.05 * peaks[1000]
