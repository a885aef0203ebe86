import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / 'scripts')
    import benchmark_history

    monkeypatch.setattr(benchmark_history, 'HISTORY', tmp_path / 'history.csv')
    yield benchmark_history
    sys.modules.pop('benchmark_history')


def record(path, *speeds, device='card'):
    rows = [
        {'work': f'infer:net{i}', 'median': 16 / fps, 'frames_per_second': fps, 'peak_gib': None}
        for i, fps in enumerate(speeds)
    ]
    head = {'commit': 'abc', 'device': device, 'python': '3.12', 'packages': {'torch': '2.11', 'triton': None}}
    path.write_text(json.dumps({**head, 'rows': rows}), encoding='utf-8')
    return str(path)


def run(script, monkeypatch, *words):
    monkeypatch.setattr(sys, 'argv', ['benchmark_history', *words])
    return script.main()


def test_rows_are_kept_once_and_their_spread_is_of_one_device(script, monkeypatch, tmp_path, capsys):
    for name, speeds, device in (('a', (10, 1), 'card'), ('b', (30,), 'card'), ('c', (99,), 'other')):
        path = record(tmp_path / f'{name}.json', *speeds, device=device)
        assert run(script, monkeypatch, 'add', path) == 0
    assert run(script, monkeypatch, 'add', path) == 0
    assert '0 rows added, 4 were there' in capsys.readouterr().out
    assert run(script, monkeypatch, 'spread', 'infer:net0') == 0
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[2].split('|')[1:-1]]
    assert cells == ['infer:net0', 'card', '2', '10.00', '20.00', '30.00']


def test_a_work_that_was_never_measured_is_named(script, monkeypatch, capsys):
    assert run(script, monkeypatch, 'spread', 'infer:nothing') == 2
    assert 'infer:nothing was never measured' in capsys.readouterr().err
