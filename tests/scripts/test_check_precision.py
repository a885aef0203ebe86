import importlib.util
import itertools
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.studies.precision import cases, comparison
from gsm_plugin.studies.precision.gradients import GradientErrors

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/check_precision.py'
NETWORKS = ['fast', 'naive', 'fast against naive']


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the script: status, output, and the cells of its tables."""
    spec = importlib.util.spec_from_file_location('check_precision', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*arguments):
        words = ['check_precision', '--channels', '8', '--height', '3', '--width', '4', *arguments]
        monkeypatch.setattr(sys, 'argv', words)
        status, (printed, run.said) = script.main(), capsys.readouterr()
        rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if line[:1] == '|']
        return status, printed, rows

    return run


@pytest.fixture
def case():
    return cases.random_case(8, (3, 4), torch.device('cpu'))


def test_the_fast_network_is_as_exact_as_the_naive_one(run):
    status, printed, rows = run()
    assert status == 0
    assert 'NOT GOOD' not in printed
    precisions = [name for name in comparison.BOUNDS if torch.cuda.is_available() or name != 'tf32']
    assert [row[:2] for row in rows[2:]] == [[p, n] for p in precisions for n in NETWORKS]


def test_an_output_that_is_too_far_off_is_not_good(run, monkeypatch):
    monkeypatch.setattr(comparison, 'LEAST_PSNR', 1000.0)
    status, printed, _ = run('--precision', 'fp32')
    assert status == 1
    assert 'NOT GOOD' in printed


def test_without_jumps_of_derivatives_gradients_in_half_precision_are_near(case):
    def gradient(kinks):
        rows = comparison.compare(case, ['bf16'], kinks, lambda: None).rows
        return float(next(row for row in rows if row[:2] == ['bf16', 'naive'])[3])

    assert gradient(kinks=False) < gradient(kinks=True) / 2


@pytest.mark.slow
def test_trained_weights_and_clips_are_compared_too(run, tmp_path, monkeypatch):
    options = {'prop_depth': 2, 'attn_depth': 1, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2}
    monkeypatch.setattr(cases, 'DEMO', options)
    torch.save({'params_ema': GSMamba(**options).state_dict()}, tmp_path / 'net.pth')
    noise = np.random.default_rng(0)
    for kind, side in (('LQ', 8), ('GT', 32)):
        (tmp_path / kind / 'clip').mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(tmp_path / kind / 'clip' / f'{i}.png'), noise.integers(0, 256, (side, side, 3), np.uint8))
    arguments = '--weights', str(tmp_path / 'net.pth'), '--clips', str(tmp_path), '--precision', 'fp32'
    status, printed, rows = run(*arguments)
    assert status == 0
    assert 'the loss of the recipes on a piece of clip' in printed
    assert [row[:2] for row in rows if row[0] == 'fp32'] == 2 * [['fp32', name] for name in NETWORKS]
    assert rows[-1][0] == 'clip'
    *_, rows = run(*arguments, '--only', 'clip')
    assert [row[1] for row in rows if row[0] == 'fp32'] == NETWORKS


@pytest.mark.parametrize(('precision', 'kinks', 'is_good'), [
    ('bf16', False, False), ('fp32', False, False), ('bf16', True, True), ('fp32', True, False)
])  # fmt: skip
def test_a_single_parameter_counts_except_in_half_precision_with_kinks(case, monkeypatch, precision, kinks, is_good):
    fast, naive = GradientErrors(0.0, {'one': 0.5}), GradientErrors(0.0, {'one': 1e-5})
    errors = itertools.cycle([fast, naive, fast])
    monkeypatch.setattr(comparison, 'gradient_errors', lambda *_: next(errors))
    assert comparison.compare(case, [precision], kinks, lambda: None).is_good == is_good


def test_wrong_input_is_a_sentence(run, tmp_path):
    torch.save({'params': {'a': torch.zeros(1)}}, tmp_path / 'net.pth')
    for arguments, message in (
        (['--weights', 'nothing.pth'], 'nothing.pth is no file; `make demo`'),
        (
            ['--weights', str(tmp_path / 'net.pth'), '--clips', 'nowhere'],
            'nowhere has no folder LQ with a folder of frames',
        ),
        (['--only', 'random', 'bikes'], '--only bikes is not one of random; clips need --weights'),
    ):
        assert run(*arguments)[0] == 2
        assert message in run.said


def test_no_pixels_are_refused(run, capsys):
    with pytest.raises(SystemExit):
        run('--height', '0')
    assert '--height 0 --width 4: give a pixel at least' in capsys.readouterr().err
