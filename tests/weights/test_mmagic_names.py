"""Weights under the names that mmagic's BasicVSR, IconVSR, BasicVSR++ and EDVR have load into BasicSR's networks."""

import re

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import pytest
import torch
from basicsr.archs.basicvsr_arch import BasicVSR, IconVSR
from basicsr.archs.basicvsrpp_arch import BasicVSRPlusPlus
from basicsr.archs.edvr_arch import EDVR

from gsm_plugin.archs.flow_estimation import build_spynet
from gsm_plugin.errors import UserError
from gsm_plugin.weights.loading import load_weights

NETWORKS = {
    'BasicVSR': lambda: BasicVSR(8, 2),
    'IconVSR': lambda: IconVSR(16, 1),
    'BasicVSR++': lambda: BasicVSRPlusPlus(16, 1),
    'EDVR': lambda: EDVR(num_feat=16, num_frame=5, num_reconstruct_block=2),
    'EDVR without TSA': lambda: EDVR(num_feat=16, num_frame=5, num_reconstruct_block=2, with_tsa=False),
}

# Layers that mmagic makes as a ConvModule (a convolution `conv` and its activation), from its edvr_net.py.
WRAPPED = [
    *(rf'offset_conv{i}\.l{level}' for i in (1, 2, 3) for level in (1, 2, 3)),
    *(rf'feat_conv\.l{level}' for level in (1, 2)),
    *('cas_offset_conv1', 'cas_offset_conv2', 'feat_fusion'),
    *(f'spatial_attn{part}' for part in ('1', '2', '3', '4', '_l1', '_l2', '_l3', '_add1')),
]


def name_in_mmagic(name):
    for wrapped in WRAPPED:
        name = re.sub(rf'((?:pcd_align|fusion)\.{wrapped})\.(weight|bias)$', r'\1.conv.\2', name)
    name = re.sub(r'conv_l([23])_([12])\.', r'feat_l\1_conv\2.conv.', name)
    name = name.replace('pcd_align.', 'pcd_alignment.')
    name = re.sub(r'^(forward|backward)_trunk', r'\1_resblocks', name)
    name = re.sub(r'^upconv([12])\.', r'upsample\1.upsample_conv.', name)
    for layer in range(5):
        pattern = rf'(spynet\.basic_module\.\d\.basic_module)\.{2 * layer}\.'
        name = re.sub(pattern, lambda match, layer=layer: f'{match[1]}.#{layer}.conv.', name)
    return name.replace('#', '')


def file_of_mmagic(network, path):
    weights = {f'generator.{name_in_mmagic(name)}': value for name, value in network.state_dict().items()}
    torch.save({'meta': {}, 'state_dict': {'step_counter': torch.zeros(1), **weights}}, path)
    return set(weights)


@pytest.mark.parametrize('title', NETWORKS)
def test_they_load_strictly(tmp_path, title):
    torch.manual_seed(0)
    source, network = NETWORKS[title](), NETWORKS[title]()
    names = file_of_mmagic(source, tmp_path / 'net.pth')
    assert names & {
        'generator.backward_resblocks.main.0.weight',
        'generator.upsample1.upsample_conv.weight',
        'generator.pcd_alignment.offset_conv1.l3.conv.weight',
    }
    load_weights(network, str(tmp_path / 'net.pth'), strict=True)
    torch.testing.assert_close(network.state_dict(), source.state_dict(), atol=0, rtol=0)


def test_what_no_rule_helps_is_named_as_it_is_in_the_file(tmp_path):
    torch.save({'upsample9.upsample_conv.weight': torch.zeros(1)}, tmp_path / 'net.pth')
    with pytest.raises(UserError, match=r'1 unexpected \(upsample9\.upsample_conv\.weight\)'):
        load_weights(BasicVSR(8, 1), str(tmp_path / 'net.pth'))


def test_the_flow_network_of_training_comes_from_files_of_mmagic(tmp_path):
    source = BasicVSR(8, 1)
    file_of_mmagic(source, tmp_path / 'basicvsr.pth')
    weights = {name_in_mmagic(f'spynet.{name}'): value for name, value in source.spynet.state_dict().items()}
    alone = {name.removeprefix('spynet.'): value for name, value in weights.items() if 'basic_module' in name}
    assert 'basic_module.0.basic_module.1.conv.weight' in alone
    torch.save(alone, tmp_path / 'spynet.pth')
    for file in ('basicvsr.pth', 'spynet.pth'):
        taken = build_spynet(tmp_path / file).state_dict()
        torch.testing.assert_close(taken, source.spynet.state_dict(), atol=0, rtol=0)
