import os

import pytest
import torch

from gsm_plugin.archs.building import build
from gsm_plugin.errors import UserError
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.weights.loading import load_weights
from gsm_plugin.weights.reader import read_weights
from tests.archs.tiny_gsm import tiny
from tests.models.tiny import TinyRecurrentNet, make_options, weights_of


def make_network(seed=0):
    torch.manual_seed(seed)
    return TinyRecurrentNet()


def prefixed(weights, prefix):
    return {prefix + name: value for name, value in weights.items()}


def save(content, root, name='weights.pth'):
    torch.save(content, root / name)
    return str(root / name)


RAW = weights_of(make_network(1))
AVERAGED = weights_of(make_network(2))

LAYOUTS = {
    'params': ({'params': RAW, 'params_ema': AVERAGED}, 'params', RAW, 'params'),
    'params_ema': ({'params': RAW, 'params_ema': AVERAGED}, 'params_ema', AVERAGED, 'params_ema'),
    'another key': ({'best': RAW, 'params': AVERAGED}, 'best', RAW, 'best'),
    'params for want of params_ema': ({'params': RAW}, 'params_ema', RAW, 'params'),
    'params_ema for want of params': ({'params_ema': AVERAGED}, 'params', AVERAGED, 'params_ema'),
    'bare': (RAW, 'params', RAW, 'top level'),
    'bare as asked': (RAW, None, RAW, 'top level'),
    'wrapped': ({'params': prefixed(RAW, 'module.')}, 'params', RAW, 'params'),
    'bare and wrapped': (prefixed(RAW, 'module.'), 'params_ema', RAW, 'top level'),
    'mmagic': (
        {'meta': {}, 'state_dict': {'step_counter': torch.tensor(3), **prefixed(RAW, 'generator.')}},
        'params',
        RAW,
        'state_dict',
    ),
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_weights_load_from_every_layout_and_the_log_says_from_where(tmp_path, log, layout):
    content, key, expected, where = LAYOUTS[layout]
    network = make_network()
    path = save(content, tmp_path)
    load_weights(network, path, strict=True, key=key)
    torch.testing.assert_close(weights_of(network), expected, atol=0, rtol=0)
    assert f'TinyRecurrentNet took 4 of its 4 weights from {path} ({where}).' in log()
    replaced = where != key and key is not None
    assert (f'has no weights under {key}, so those of {where} are taken' in log()) == replaced


def test_what_is_left_of_a_file_is_named(tmp_path, log):
    load_weights(make_network(), save(LAYOUTS['mmagic'][0], tmp_path))
    assert '1 outside generator. are left: step_counter' in log()


def different():
    """Weights with two names missing, one too many and one of another size."""
    weights = dict(RAW)
    del weights['spynet.weight'], weights['spynet.bias']
    return {**weights, 'extra': torch.zeros(1), 'body.0.bias': torch.zeros(5)}


def test_a_strict_mismatch_is_one_sentence_with_names_and_cure_and_loads_nothing(tmp_path):
    network = make_network()
    before = weights_of(network)
    with pytest.raises(UserError) as error:
        load_weights(network, save({'params': different()}, tmp_path))
    sentence = str(error.value)
    assert '2 missing (spynet.weight, spynet.bias)' in sentence
    assert '1 unexpected (extra)' in sentence
    assert '1 of another size (body.0.bias: 5 in the file, 12 in the network)' in sentence
    assert 'strict_load_g: false to take the 1 that fit.' in sentence
    torch.testing.assert_close(weights_of(network), before, atol=0, rtol=0)


def test_without_strict_what_fits_is_taken_and_the_rest_is_named(tmp_path, log):
    network = make_network()
    before = weights_of(network)
    load_weights(network, save({'params': different()}, tmp_path), strict=False)
    expected = {**before, 'body.0.weight': RAW['body.0.weight']}
    torch.testing.assert_close(weights_of(network), expected, atol=0, rtol=0)
    for line in (
        'took 1 of its 4 weights',
        'TinyRecurrentNet, taken: body.0.weight.',
        'TinyRecurrentNet, made new: body.0.bias: 5 in the file, 12 in the network.',
        'TinyRecurrentNet, made new, for the file has none: spynet.*.',
        'TinyRecurrentNet, left in the file: extra.',
    ):
        assert line in log()


def test_weights_of_which_nothing_fits_are_refused_also_without_strict(tmp_path):
    with pytest.raises(UserError, match=r'4 missing .* 1 unexpected \(extra\); make network_g the network'):
        load_weights(make_network(), save({'extra': torch.zeros(1)}, tmp_path), strict=False)


def test_weights_of_another_network_are_named_with_those_that_fit(tmp_path):
    path = save({'params': build({'type': 'BasicVSR', 'num_feat': 4, 'num_block': 1}).state_dict()}, tmp_path)
    gsm = tiny()
    with pytest.raises(UserError) as error:
        load_weights(gsm, path)
    assert str(error.value) == (
        f'The weights params of {path} do not fit GSMamba: they are those of BasicVSR; give weights of GSMamba (in '
        f'basicsr weights list: gsm-small-x4, gsm-small-x4-video, gsm-reds), '
        f'or make network_g BasicVSR, or set path: strict_load_g: false '
        f'to take the 63 that fit.'
    )
    with pytest.raises(UserError, match=r'do not fit GSMamba: .* of another size .*make network_g the network that'):
        load_weights(gsm, save({'params': tiny(embed_dims=16).state_dict()}, tmp_path))


class Harmful:
    """Executes something when it is unpickled."""

    def __reduce__(self):
        return (open, ('harmed', 'w'))


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'it has params and Python objects: (_io|io)\.open'):
        load_weights(make_network(), save({'params': Harmful()}, tmp_path))
    assert not (tmp_path / 'harmed').exists()


@pytest.mark.parametrize(
    'content, key, sentence',
    [
        ({'epoch': 1, 'iter': 2, 'optimizers': []}, 'params', r'it has epoch, iter, optimizers\); give a file'),
        ({}, 'params', r'it has nothing\)'),
        ({'params': RAW}, 'best', r"no weights under 'best', but params; set path: param_key_g"),
        ([1, 2], 'params', 'but no names at all'),
    ],
)
def test_a_file_without_weights_says_what_it_has(tmp_path, content, key, sentence):
    with pytest.raises(UserError, match=sentence):
        load_weights(make_network(), save(content, tmp_path), key=key)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r'none\.pth does not exist; correct the path'):
        load_weights(make_network(), str(tmp_path / 'none.pth'))


def test_training_gives_raw_and_averaged_weights_to_their_networks(tmp_path):
    path = {'pretrain_network_g': save({'params': RAW, 'params_ema': AVERAGED}, tmp_path)}
    model = GSMModel(make_options(tmp_path, path=path))
    torch.testing.assert_close(weights_of(model.net_g), RAW, atol=0, rtol=0)
    torch.testing.assert_close(weights_of(model.net_g_ema), AVERAGED, atol=0, rtol=0)


def test_training_gives_the_only_weights_to_both_networks(tmp_path):
    path = {'pretrain_network_g': save(RAW, tmp_path)}
    model = GSMModel(make_options(tmp_path, path=path))
    for network in (model.net_g, model.net_g_ema):
        torch.testing.assert_close(weights_of(network), RAW, atol=0, rtol=0)


@pytest.mark.parametrize(
    'path, val, expected',
    [({}, {}, AVERAGED), ({}, {'use_ema': False}, RAW), ({'param_key_g': 'params'}, {}, RAW)],
)
def test_a_test_takes_the_averaged_weights_unless_told_otherwise(tmp_path, path, val, expected):
    path = {'pretrain_network_g': save({'params': RAW, 'params_ema': AVERAGED}, tmp_path), **path}
    model = GSMModel(make_options(tmp_path, is_train=False, path=path, val=val))
    torch.testing.assert_close(weights_of(model.net_g), expected, atol=0, rtol=0)


def test_strictness_is_that_of_the_option_file(tmp_path):
    path = {'pretrain_network_g': save({'params': different()}, tmp_path)}
    with pytest.raises(UserError, match='do not fit TinyRecurrentNet'):
        GSMModel(make_options(tmp_path, path=path))
    model = GSMModel(make_options(tmp_path, path={**path, 'strict_load_g': False}))
    torch.testing.assert_close(model.net_g_ema.body[0].weight.data, RAW['body.0.weight'], atol=0, rtol=0)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / 'pipe.pth')
    with pytest.raises(UserError, match='is a device or a pipe, and no file of weights'):
        read_weights(tmp_path / 'pipe.pth')
