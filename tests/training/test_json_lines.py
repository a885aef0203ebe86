import json

import pytest

from gsm_plugin.training.json_lines import JsonLines


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'train.jsonl'


def read(path):
    return [(record['kind'], record['iter']) for record in map(json.loads, path.read_text().splitlines())]


def test_every_record_is_json(path):
    JsonLines(path, 0).write('train', 1, l_pix=float('nan'), lrs=[0.5, float('inf')], name='x', none=None)
    expected = {'kind': 'train', 'iter': 1, 'l_pix': None, 'lrs': [0.5, None], 'name': 'x', 'none': None}
    assert json.loads(path.read_text()) == expected


def test_a_new_run_begins_a_new_log(path):
    JsonLines(path, 0).write('train', 1)
    JsonLines(path, 0)
    assert read(path) == []


def test_a_resumed_run_takes_out_what_it_will_write_again(path):
    lines = JsonLines(path, 0)
    for kind, iteration in (('start', 0), ('train', 1), ('train', 2), ('validation', 2), ('stop', 2), ('train', 3)):
        lines.write(kind, iteration)
    JsonLines(path, 2).write('resume', 2)
    assert read(path) == [('start', 0), ('train', 1), ('train', 2), ('resume', 2)]


def test_half_a_line_of_a_killed_run_is_taken_out(path):
    JsonLines(path, 0).write('train', 1)
    with open(path, 'a') as file:
        file.write('{"kind": "train", "it')
    JsonLines(path, 9)
    assert read(path) == [('train', 1)]
