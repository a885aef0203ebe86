import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/check_precision.py'


@pytest.mark.parametrize(('least_psnr', 'status'), [(80.0, 0), (1000.0, 1)])
def test_the_fast_network_is_as_exact_as_the_naive_one(monkeypatch, capsys, least_psnr, status):
    spec = importlib.util.spec_from_file_location('check_precision', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, 'LEAST_PSNR', least_psnr)
    monkeypatch.setattr(sys, 'argv', ['check_precision', '--channels', '8', '--height', '3', '--width', '4'])
    assert script.main() == status
    printed = capsys.readouterr().out
    assert ('NOT GOOD' in printed) == bool(status)
    rows = [[cell.strip() for cell in line.split('|')[1:3]] for line in printed.splitlines() if line.startswith('|')]
    assert rows[2:] == [[p, n] for p in ('fp32', 'bf16') for n in ('fast', 'naive', 'fast against naive')]
