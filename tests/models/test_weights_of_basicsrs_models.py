"""BasicSR's own models, and those of users that build on them, load weights by the one reader."""

import pytest
import torch
from safetensors.torch import save_file

import gsm_plugin
from gsm_plugin.errors import UserError
from tests.models.tiny import TinyRecurrentNet, make_options, weights_of


@pytest.fixture(params=['SRModel', 'VideoRecurrentModel', 'ESRGANModel'])
def build(request):
    gsm_plugin.register()
    from basicsr.utils.registry import MODEL_REGISTRY

    def make(root, path, **changes):
        options = make_options(root, is_train=False, path={'pretrain_network_g': str(path)}, **changes)
        return MODEL_REGISTRY.get(request.param)(options)

    return make


@pytest.fixture
def weights():
    torch.manual_seed(3)
    return weights_of(TinyRecurrentNet())


def test_they_read_what_basicsr_does_not(tmp_path, weights, build):
    save_file(weights, tmp_path / 'w.safetensors')
    torch.save(
        {'state_dict': {f'net_g._orig_mod.{name}': value for name, value in weights.items()}}, tmp_path / 'w.ckpt'
    )
    for file in ('w.safetensors', 'w.ckpt'):
        model = build(tmp_path, tmp_path / file)
        torch.testing.assert_close(weights_of(model.net_g), weights, atol=0, rtol=0)


def test_they_refuse_values_that_are_no_numbers_and_files_that_are_no_weights(tmp_path, weights, build):
    weights['body.0.bias'][2] = float('inf')
    torch.save({'params': weights}, tmp_path / 'w.pth')
    with pytest.raises(UserError, match=r'w\.pth holds values that are no numbers .*: 1 of 12 in body\.0\.bias'):
        build(tmp_path, tmp_path / 'w.pth')
    (tmp_path / 'page.pth').write_text('<!DOCTYPE html><html></html>')
    with pytest.raises(UserError, match=r'page\.pth is a web page'):
        build(tmp_path, tmp_path / 'page.pth')
