import pytest
import torch

from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.errors import UserError
from gsm_plugin.scoring.choices import build, parse_choices
from gsm_plugin.scoring.known_networks import KNOWN_NETWORKS, TRAININGS
from gsm_plugin.scoring.results.published import published_for
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS
from tests.scoring.tiny_vsr import write_network

VRT_TILES = {'tile': [40, 128, 128], 'tile_overlap': [2, 20, 20]}


@pytest.fixture
def weights(tmp_path):
    (tmp_path / 'net.pth').write_bytes(b'weights')
    return tmp_path / 'net.pth'


def choose(text, training='REDS BI', protocol=None):
    return parse_choices([text], training, protocol)[0]


def test_networks_differ_by_what_they_were_trained_on(weights):
    assert choose(f'edvr={weights}').network_g['num_frame'] == 5
    on_vimeo = choose(f'edvr={weights}', 'Vimeo-90K BD')
    assert (on_vimeo.network_g['num_frame'], on_vimeo.val['window'], on_vimeo.lengths) == (7, 7, (7,))
    assert choose(f'iconvsr={weights}').network_g['temporal_padding'] == 2
    assert choose(f'iconvsr={weights}', 'Vimeo-90K BI').network_g['temporal_padding'] == 3
    assert choose(f'vrt={weights}', 'Vimeo-90K BI').network_g['pa_frames'] == 4


def test_networks_are_run_as_their_testers_run_them(weights):
    assert choose(f'vrt={weights}', protocol='reds4').val == VRT_TILES
    assert choose(f'gsm={weights}', protocol='reds4').val == {'tile': [100, 144, 144], 'tile_overlap': [2, 50, 50]}
    assert choose(f'gsm={weights}').val == {}
    assert choose(f'basicvsr={weights}', protocol='reds4').val == {'smallest_side': 64}
    on_vimeo = choose(f'vrt={weights}', 'Vimeo-90K BI', 'vimeo90k-t')
    assert on_vimeo.val == {'flip_seq': False}
    assert on_vimeo.network_g['pad_frames']


def test_an_option_file_brings_network_weights_and_ways_of_running(tmp_path):
    _, file = write_network(tmp_path, tile=[2, 8, 8], tile_overlap=[0, 2, 2], use_ema=False)
    choice = choose(f'mine={file}')
    assert choice.label == 'mine'
    assert choice.network_g == {'type': 'TinyVSR', 'width': 4}
    assert choice.val == {'tile': [2, 8, 8], 'tile_overlap': [0, 2, 2], 'use_ema': False}
    model = build(choice, 4, {})
    assert model.restore(torch.rand(1, 3, 3, 12, 10)).shape == (1, 3, 3, 48, 40)


def test_several_networks_are_joined_by_commas_or_spaces(weights):
    labels = [choice.label for choice in parse_choices(['bicubic, ', f'basicvsr={weights},'], 'REDS BI')]
    assert labels == ['bicubic', 'basicvsr']


def test_what_cannot_be_built_is_one_sentence(tmp_path):
    _, file = write_network(tmp_path)
    file.write_text(file.read_text().replace('width: 4', 'widht: 4'))
    with pytest.raises(UserError, match=r"mine: .*'widht'; correct network_g\."):
        build(choose(f'mine={file}'), 4, {})
    file.write_text(file.read_text().replace('TinyVSR', 'TinyVS'))
    with pytest.raises(UserError, match=r"mine: no network is called 'TinyVS'; correct network_g: type\."):
        build(choose(f'mine={file}'), 4, {})


def test_which_weights_of_a_file_are_taken_is_said_by_the_option_file(tmp_path):
    network, file = write_network(tmp_path)
    other = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save({'params': network.state_dict(), 'best': other}, tmp_path / 'tiny.pth')
    assert build(choose(f'mine={file}'), 4, {}).net_g.body[0].weight.any()
    file.write_text(file.read_text().replace('path:\n', 'path:\n  param_key_g: best\n'))
    assert not build(choose(f'mine={file}'), 4, {}).net_g.body[0].weight.any()


@pytest.mark.parametrize('label', ['GT', 'a/b', ''])
def test_a_label_has_to_be_the_name_of_a_file(tmp_path, label):
    _, file = write_network(tmp_path)
    with pytest.raises(UserError, match='cannot be the name of a file'):
        choose(f'{label}={file}')


def test_weights_of_an_option_file_that_are_missing_are_named(tmp_path):
    _, file = write_network(tmp_path)
    (tmp_path / 'tiny.pth').unlink()
    with pytest.raises(UserError, match=r'tiny\.pth, which does not exist; correct the path'):
        choose(f'mine={file}')


def test_the_list_of_networks_is_consistent():
    for label, known in KNOWN_NETWORKS.items():
        assert label in ('gsm', 'gsm-small', 'gsm-small-video') or published_for(known.title) is not None
        assert set(known.weights) | set(known.by_training) | set(known.val_by_training) <= set(TRAININGS)
        assert set(known.val_by_protocol) | set(known.by_protocol) <= set(PROTOCOLS)
        for training, name in known.weights.items():
            assert KNOWN_WEIGHTS[name].trained_on == training
            assert KNOWN_WEIGHTS[name].network == known.options['type']


@pytest.mark.parametrize('label', KNOWN_NETWORKS)
@pytest.mark.parametrize('training', TRAININGS)
def test_arguments_of_known_networks_are_those_of_their_classes(label, training):
    import inspect

    from basicsr.utils.registry import ARCH_REGISTRY

    import gsm_plugin
    from gsm_plugin.options.names import find, is_known

    gsm_plugin.register()
    known = KNOWN_NETWORKS[label]
    arguments = {**known.options, **known.by_training.get(training, {})}
    kind = arguments.pop('type')
    if not is_known(ARCH_REGISTRY, kind):
        pytest.skip(f'{kind} is not there')
    assert set(arguments) <= set(inspect.signature(find(ARCH_REGISTRY, kind)).parameters)


def test_the_precision_is_that_of_the_flag_then_of_the_file_then_fp32(tmp_path):
    _, file = write_network(tmp_path, precision='bf16')
    found = parse_choices([f'mine={file}', 'bicubic'], 'REDS BI')
    assert [choice.settings()['precision'] for choice in found] == ['bf16', 'fp32']
    found = parse_choices([f'mine={file}', 'bicubic'], 'REDS BI', precision='fp32')
    assert [choice.settings()['precision'] for choice in found] == ['fp32', 'fp32']
    # so that records from before there was a choice go on
    assert found[1].settings()['val'] == {}


def test_networks_that_come_along_go_by_the_names_of_their_weights_too():
    for words in (('gsm-small-x4', 'gsm-small'), ('gsm-small-x4-video', 'gsm-small-video')):
        by_weights, by_name = (parse_choices([word], 'REDS BI')[0] for word in words)
        assert by_weights == by_name


@pytest.mark.parametrize(
    'word, sentence',
    [
        ('net.pth', r'net.pth is a file; write of which network it is, such as gsm=net.pth'),
        ('mine=net.pth', r'mine is none of the known networks .*; write the name of one, such as gsm=net.pth'),
        ('mine=film.mp4', r'film.mp4 is a film, .* name a clip before --networks'),
        ('gsm=film.mp4', r'film.mp4 is a film, and no weights'),
        ('bicubic=net.pth', r'bicubic has no weights; write bicubic alone'),
        ('mine=none.pth', r'none.pth does not exist'),
        ('gsn', r"no network is called 'gsn'; did you mean gsm"),
    ],
)
def test_slips_in_the_list_of_networks_get_their_own_cures(tmp_path, monkeypatch, word, sentence):
    monkeypatch.chdir(tmp_path)
    for name in ('net.pth', 'film.mp4'):
        (tmp_path / name).write_bytes(b'x')
    with pytest.raises(UserError, match=sentence):
        parse_choices([word], 'REDS BI')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_precision_that_the_device_cannot_do_is_one_sentence():
    (choice,) = parse_choices(['bicubic'], 'REDS BI', precision='fp16')
    with pytest.raises(UserError, match='precision is fp16, which needs a GPU'):
        build(choice, 4, {})
