"""Weights go from every layout to safetensors and back, and say which network they are of."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
from gsm_plugin import Restorer
from gsm_plugin.archs.building import build
from gsm_plugin.cli import main as command
from gsm_plugin.errors import UserError
from gsm_plugin.export.convert import convert
from gsm_plugin.weights.reader import read_weights
from gsm_plugin.weights.settings_buffer import ASSUMED, NAME, read_settings, settings_buffer
from tests.weights.test_mmagic_names import name_in_mmagic

GSM = {'type': 'GSMamba', 'upscale': 2, 'prop_depth': 2, 'attn_depth': 1, 'embed_dims': 8, 'num_heads': 2}
TOLD = {'pa_frame': 1, 'anchor': 'forward', 'scatter': 'anchor', 'flow_composition': 'exact', 'ssm_init': 'mamba'}
BASICVSR = {'type': 'BasicVSR', 'num_feat': 4, 'num_block': 1}


@pytest.fixture(scope='module')
def state():
    torch.manual_seed(0)
    return build({**GSM, **TOLD}).state_dict()


@pytest.fixture
def saved(state, tmp_path):
    path = tmp_path / 'in.pth'
    torch.save({'params_ema': {f'module.{name}': value for name, value in state.items()}}, path)
    return path


def metadata_of(path):
    with safe_open(path, framework='pt') as file:
        return file.metadata()


def assert_same(actual, expected):
    torch.testing.assert_close(dict(actual), dict(expected), atol=0, rtol=0)


def test_there_and_back_keeps_weights_settings_training_and_hash(saved, state, tmp_path):
    there, back, again = (tmp_path / name for name in ('a.safetensors', 'b.pth', 'c.safetensors'))
    convert(saved, there, TOLD, 'clips of mine, CRF 23')
    convert(there, back, {})
    convert(back, again, {})
    said = metadata_of(there)
    assert said['scale'] == '2'
    assert {key: json.loads(said['network_g'])[key] for key in {**GSM, **TOLD}} == {**GSM, **TOLD}
    assert said['trained_on'] == 'clips of mine, CRF 23'
    assert re.fullmatch('[0-9a-f]{64}', said['weights_sha256'])
    assert metadata_of(again) == said
    for inside in (load_file(there), torch.load(back, weights_only=True)['params']):
        assert read_settings(inside.pop(NAME)) == TOLD
        assert_same(inside, state)


@pytest.mark.parametrize('kind', ['a.safetensors', 'a.pth'])
def test_what_is_written_is_loaded_without_anything_taken_for_granted(saved, state, tmp_path, kind, caplog):
    convert(saved, tmp_path / kind, TOLD)
    caplog.clear()
    restorer = Restorer.load(tmp_path / kind, device='cpu')
    assert 'taken for granted' not in restorer.describe()
    assert not [record for record in caplog.records if record.levelname == 'WARNING']
    assert (restorer.network.pa_frame, restorer.network.anchor) == (1, 2)
    assert restorer.network.flow_composition == 'exact'


def test_the_buffer_alone_tells_the_settings(state, tmp_path):
    torch.save({'params': {**state, NAME: settings_buffer(TOLD)}}, tmp_path / 'a.pth')
    read = read_weights(tmp_path / 'a.pth')
    assert NAME not in read.tensors
    assert json.loads(read.metadata['network_g']) == TOLD


def test_published_values_are_taken_aloud_where_nothing_tells(state, tmp_path, capsys):
    torch.save(state, tmp_path / 'a.pth')
    command.main(['weights', 'convert', str(tmp_path / 'a.pth'), str(tmp_path / 'a.safetensors')])
    granted = ', '.join(f'{key} {value}' for key, value in ASSUMED.items())
    assert f'taken for granted, since the file does not tell: {granted}' in capsys.readouterr().out
    assert metadata_of(tmp_path / 'a.safetensors')['scale'] == '2'


def test_names_of_mmagic_become_those_of_basicsr(tmp_path):
    state = build(BASICVSR).state_dict()
    names = {f'generator.{name_in_mmagic(name)}': value for name, value in state.items()}
    torch.save({'state_dict': names}, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'a.safetensors', {})
    assert_same(load_file(tmp_path / 'a.safetensors'), state)
    assert json.loads(metadata_of(tmp_path / 'a.safetensors')['network_g']) == BASICVSR
    convert(tmp_path / 'a.safetensors', tmp_path / 'b.pth', {})
    assert_same(torch.load(tmp_path / 'b.pth', weights_only=True)['params'], state)


def test_types_stay_those_of_the_file(state, tmp_path):
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    torch.save({'params': half}, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'a.safetensors', TOLD)
    assert_same(read_weights(tmp_path / 'a.safetensors').tensors, half)


def test_half_rounds_weights_and_nothing_else(state, tmp_path):
    torch.save({'params': state}, tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'a.safetensors', TOLD, half=True)
    expected = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    assert_same(read_weights(tmp_path / 'a.safetensors').tensors, expected)
    Restorer.load(tmp_path / 'a.safetensors', 'cpu')


def test_what_float16_cannot_hold_is_refused(state, tmp_path):
    name = next(name for name, value in state.items() if value.is_floating_point())
    state = {**state, name: torch.full_like(state[name], 70000)}
    torch.save({'params': state}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match=f'{name} of .*a.pth has values up to 7e.04, which float16 cannot hold'):
        convert(tmp_path / 'a.pth', tmp_path / 'a.safetensors', TOLD, half=True)
    assert not (tmp_path / 'a.safetensors').exists()


REFUSED = {
    'an ending that is none': ('a.onnxx', {}, r"ends with '\.onnxx'; name a file that ends with \.safetensors or"),
    'no ending': ('a', {}, r"ends with ''; name"),
    'no such folder': ('none/a.pth', {}, 'there is no folder .*none; make it first'),
    'a place that is taken': ('in.pth', {}, r'in\.pth exists; remove it'),
    'an unknown setting': ('a.pth', {'pa_frames': 1}, 'pa_frames'),
    'a wrong setting': ('a.pth', {'anchor': 'left'}, "anchor is 'left'; set one of center, forward"),
}


@pytest.mark.parametrize('kind', REFUSED)
def test_what_cannot_be_converted_is_one_sentence_and_leaves_no_file(saved, tmp_path, kind):
    out, network, sentence = REFUSED[kind]
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError, match=sentence):
        convert(saved, tmp_path / out, network)
    assert sorted(tmp_path.rglob('*')) == before


CONTRADICTIONS = {
    'network_g': ('{"type": "GSMamba", "embed_dims": 16}', 'says embed_dims: 16, but its shapes are of 8'),
    'scale': ('4', 'says scale: 4, but its network enlarges 2 times'),
    'weights_sha256': ('0' * 64, 'has weights that are not those that its weights_sha256 00000000 was made of'),
}


@pytest.mark.parametrize('key', CONTRADICTIONS)
def test_metadata_that_contradict_the_weights_are_refused(state, tmp_path, key):
    value, sentence = CONTRADICTIONS[key]
    save_file(state, tmp_path / 'a.safetensors', metadata={key: value})
    with pytest.raises(UserError, match=sentence):
        convert(tmp_path / 'a.safetensors', tmp_path / 'b.pth', {})
    assert not (tmp_path / 'b.pth').exists()


def test_a_file_that_is_half_there_is_one_sentence(saved, tmp_path):
    convert(saved, tmp_path / 'a.safetensors', {})
    content = (tmp_path / 'a.safetensors').read_bytes()
    (tmp_path / 'a.safetensors').write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match='cut off or damaged'):
        convert(tmp_path / 'a.safetensors', tmp_path / 'b.pth', {})
    assert not (tmp_path / 'b.pth').exists()


@pytest.mark.parametrize('buffer', [torch.zeros(4, dtype=torch.int64), torch.tensor([2, 5, 0, 0, 0]), torch.zeros(5)])
def test_a_buffer_that_is_none_is_refused(buffer):
    with pytest.raises(UserError, match='The buffer gsm_settings of the weights is'):
        read_settings(buffer)


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(saved, ending):
    with pytest.raises(UserError, match=r'/proc/out\.\w+ cannot be written \('):
        convert(saved, Path(f'/proc/out.{ending}'), {})


def test_others_may_read_what_is_written(saved, tmp_path):
    convert(saved, tmp_path / 'out.safetensors', {})
    (tmp_path / 'plain').write_bytes(b'')
    assert (tmp_path / 'out.safetensors').stat().st_mode == (tmp_path / 'plain').stat().st_mode
