"""Files of GSM are recognised by the real spandrel, and others are not taken for them."""

import logging

import pytest
import torch

from gsm_plugin.archs.building import build
from gsm_plugin.errors import UserError
from gsm_plugin.export.convert import convert
from gsm_plugin.spandrel import install
from gsm_plugin.weights.settings_buffer import NAME, settings_buffer
from tests.inference.test_restorer import NETWORKS

spandrel = pytest.importorskip('spandrel')

GSM = {'upscale': 2, 'prop_depth': 2, 'attn_depth': 1, 'embed_dims': 8, 'num_heads': 2, 'window_size': [2, 4, 4]}
SETTINGS = {'pa_frame': 1, 'anchor': 'forward', 'scatter': 'anchor', 'flow_composition': 'exact', 'ssm_init': 'mamba'}


@pytest.fixture(scope='module', autouse=True)
def installed():
    install()


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return build({'type': 'GSMamba', **GSM, **SETTINGS}).eval().requires_grad_(False)


@pytest.fixture(scope='module')
def weights(network):
    return network.state_dict()


@pytest.fixture(scope='module', params=['.pth', '.safetensors'])
def model(request, weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    torch.save({'params_ema': weights}, folder / 'in.pth')
    path = folder / f'gsm{request.param}'
    convert(folder / 'in.pth', path, SETTINGS)
    return spandrel.ModelLoader().load_from_file(path)


def test_a_second_installation_changes_nothing():
    before = spandrel.MAIN_REGISTRY.architectures()
    install()
    assert spandrel.MAIN_REGISTRY.architectures() == before


def test_our_files_are_recognised_with_all_settings(model):
    assert model.architecture.id == 'GSM'
    assert {key: model.options[key] for key in {**GSM, **SETTINGS}} == {**GSM, **SETTINGS}
    assert (model.scale, model.input_channels, model.output_channels, model.purpose) == (2, 3, 3, 'SR')
    assert isinstance(model, spandrel.ImageModelDescriptor)


def test_a_clip_and_a_single_image_are_restored_as_by_the_network(model, network):
    clip = torch.rand(1, 3, 3, 9, 10)
    with torch.no_grad():
        of_clip, of_image = network(clip).clamp(0, 1), network(clip[:, :1])[:, 0].clamp(0, 1)
    torch.testing.assert_close(model(clip), of_clip, atol=0, rtol=0)
    torch.testing.assert_close(model(clip[:, 0]), of_image, atol=0, rtol=0)


@pytest.mark.parametrize('shape', [(2, 3, 8, 8), (3, 8, 8)])
def test_what_is_neither_clip_nor_image_is_refused(model, shape):
    with pytest.raises(UserError, match=r'give \(b, t, 3, h, w\) or \(1, 3, h, w\)'):
        model(torch.rand(shape))


def test_half_precision_is_refused(model):
    with pytest.raises(spandrel.UnsupportedDtypeError):
        model.half()


def test_published_values_are_taken_aloud_without_the_buffer(weights, caplog):
    caplog.set_level(logging.WARNING)
    model = spandrel.ModelLoader().load_from_state_dict(dict(weights))
    assert (model.options['pa_frame'], model.options['anchor']) == (2, 'center')
    assert 'do not tell pa_frame 2, anchor center, scatter all' in caplog.text


@pytest.mark.parametrize('name', sorted(set(NETWORKS) - {'gsm'}))
def test_other_networks_are_not_taken_for_ours(name):
    state = build(NETWORKS[name]).state_dict()
    assert not spandrel.MAIN_REGISTRY['GSM'].detect(state)


def test_ours_are_not_taken_for_networks_of_spandrel(weights):
    kept = {**weights, NAME: settings_buffer(SETTINGS)}
    found = [one.architecture.id for one in spandrel.MAIN_REGISTRY.architectures('detection') if one.detect(kept)]
    assert found == ['GSM']


def test_a_network_of_spandrel_stays_what_it_is():
    architecture = spandrel.MAIN_REGISTRY['Compact'].architecture
    from spandrel.architectures.Compact import Compact

    state = Compact(num_feat=8, num_conv=2, upscale=2).state_dict()
    assert spandrel.ModelLoader().load_from_state_dict(state).architecture is architecture


@pytest.mark.parametrize('missing', ['conv_before_upsample.0.weight', 'norm.weight'])
def test_half_a_file_is_refused(weights, missing):
    state = {name: value for name, value in weights.items() if name != missing}
    with pytest.raises((UserError, RuntimeError), match=missing):
        spandrel.ModelLoader().load_from_state_dict(state)
