import importlib.util
import itertools
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.evaluation.gradients import GradientErrors

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/check_precision.py'
PRECISIONS = ('fp32', *(['tf32'] if torch.cuda.is_available() else []), 'bf16', 'fp16')
NETWORKS = ('fast', 'naive', 'fast against naive')
ROWS = [[p, n] for p in PRECISIONS for n in NETWORKS]


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the script with some of its constants changed: status, output, and the first two cells of its tables."""
    spec = importlib.util.spec_from_file_location('check_precision', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*arguments, **constants):
        for name, value in constants.items():
            monkeypatch.setattr(script, name, value)
        words = ['check_precision', '--channels', '8', '--height', '3', '--width', '4', *arguments]
        monkeypatch.setattr(sys, 'argv', words)
        status, printed = script.main(), capsys.readouterr().out
        rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if line[:1] == '|']
        return status, printed, rows

    return run


@pytest.mark.parametrize(('least_psnr', 'status'), [(80.0, 0), (1000.0, 1)])
def test_the_fast_network_is_as_exact_as_the_naive_one(run, least_psnr, status):
    found, printed, rows = run(LEAST_PSNR=least_psnr)
    assert found == status
    assert ('NOT GOOD' in printed) == bool(status)
    assert [row[:2] for row in rows[2:]] == ROWS


def test_without_jumps_of_derivatives_gradients_in_half_precision_are_near(run):
    def gradient(rows):
        return float(next(row for row in rows if row[:2] == ['bf16', 'naive'])[3])

    assert gradient(run()[2]) < gradient(run('--kinks')[2]) / 2


def test_trained_weights_and_clips_are_compared_too(run, tmp_path):
    options = {'prop_depth': 2, 'attn_depth': 1, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2}
    torch.save({'params_ema': GSMamba(**options).state_dict()}, tmp_path / 'net.pth')
    noise = np.random.default_rng(0)
    for kind, side in (('LQ', 8), ('GT', 32)):
        (tmp_path / kind / 'clip').mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(tmp_path / kind / 'clip' / f'{i}.png'), noise.integers(0, 256, (side, side, 3), np.uint8))
    arguments = '--weights', str(tmp_path / 'net.pth'), '--clips', str(tmp_path)
    status, printed, rows = run(*arguments, DEMO=options)
    assert status == 0
    assert 'the loss of the recipes on a piece of clip' in printed
    assert [row[:2] for row in rows if row[0] in PRECISIONS] == 2 * ROWS
    assert rows[-1][0] == 'clip'
    *_, rows = run(*arguments, '--only', 'clip', '--precision', 'bf16', DEMO=options)
    assert [row[:2] for row in rows if row[0] in PRECISIONS] == [['bf16', name] for name in NETWORKS]


@pytest.mark.parametrize(
    ('arguments', 'status'), [(['bf16'], 1), (['fp32'], 1), (['bf16', '--kinks'], 0), (['fp32', '--kinks'], 1)]
)
def test_a_single_parameter_counts_except_in_half_precision_with_kinks(run, arguments, status):
    fast, naive = GradientErrors(0.0, {'one': 0.5}), GradientErrors(0.0, {'one': 1e-5})
    errors = itertools.cycle([fast, naive, fast])
    assert run('--precision', *arguments, gradient_errors=lambda *_: next(errors))[0] == status


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--weights', 'nothing.pth'], 'nothing.pth is no file; `make demo`'),
        (['--weights', __file__, '--clips', 'nowhere'], 'nowhere has no folder LQ; `make demo`'),
        (['--only', 'random', 'bikes'], '--only bikes is not one of random; clips need --weights'),
        (['--height', '0'], '--height 0 --width 4: give a pixel at least'),
    ],
)
def test_wrong_input_is_a_sentence(run, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert message in capsys.readouterr().err
