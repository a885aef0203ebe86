import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from gsm_plugin.archs.gsm_arch import GSMamba

ROOT = Path(__file__).parents[2]
RECORD = ROOT / 'scripts/benchmark/records/h100.json'


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location('estimate', ROOT / 'scripts' / 'estimate_training.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_has_what_its_command_prints(script, monkeypatch, capsys):
    document = (ROOT / 'docs' / 'training.md').read_text()
    words = (
        re.search(r'python (scripts/estimate_training\.py .*?)```', document, re.DOTALL)[1].replace('\\', ' ').split()
    )
    monkeypatch.setattr(sys, 'argv', words)
    monkeypatch.chdir(ROOT)
    assert script.main() == 0
    assert capsys.readouterr().out in document


def test_days_follow_from_the_step(script, tmp_path):
    step = {'work': 'train:gsm:16x64x64:bf16', 'median': 0.864, 'peak_gib': 4.0}
    (tmp_path / 'record.json').write_text(json.dumps({'rows': [step]}))
    table = script.table(tmp_path / 'record.json', [ROOT / 'options/train_gsm_reds.yml'])
    row = [cell.strip() for cell in table.splitlines()[2].split('|')[1:-1]]
    assert row == ['train_gsm_reds', '16', 'bf16', '8, 48.0', '2, 12.0', '1, 6.0', '4.2']


def test_a_record_without_memory_leaves_it_open(script, tmp_path):
    step = {'work': 'train:gsm:16x64x64:bf16', 'median': 0.864, 'peak_gib': None}
    (tmp_path / 'record.json').write_text(json.dumps({'rows': [step]}))
    table = script.table(tmp_path / 'record.json', [ROOT / 'options/train_gsm_reds.yml'])
    assert table.splitlines()[2].split('|')[-2].strip() == '?'


def test_recipes_that_were_not_measured_are_passed_over(script):
    files = [ROOT / f'options/train_gsm_{name}.yml' for name in ('reds_k3', 'reds_k7', 'demo')]
    assert len(script.table(RECORD, files).splitlines()) == 2


def test_the_number_of_parameters_is_that_of_the_network(script):
    network = GSMamba(**script._MEASURED)
    assert sum(parameter.numel() for parameter in network.parameters()) == script._PARAMETERS


def test_a_record_without_a_training_step_is_one_sentence(script, tmp_path, monkeypatch, capsys):
    (tmp_path / 'record.json').write_text('{"rows": []}')
    monkeypatch.setattr(sys, 'argv', ['x', str(tmp_path / 'record.json'), 'options.yml'])
    assert script.main() == 2
    assert 'has no work train:gsm:...' in capsys.readouterr().err
