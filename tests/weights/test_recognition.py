"""Networks and their sizes are told from weights, in every naming that files have."""

import gzip
import json

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
from gsm_plugin.archs.building import build
from gsm_plugin.errors import UserError
from gsm_plugin.layers.window_attention import relative_position_index
from gsm_plugin.weights.recognition import recognise
from gsm_plugin.weights.self_description import describe_network, options_in
from gsm_plugin.weights.settings_buffer import ASSUMED
from tests.golden import DATA
from tests.weights.test_mmagic_names import name_in_mmagic

RELEASED = json.loads(gzip.decompress((DATA / 'vrt_state_dicts.json.gz').read_bytes()))
REDS = json.loads((DATA / 'state_dict_reds_x4.json').read_text())
# of window size, by the number of tokens
INDICES = {size[0] * size[1] * size[2]: size for size in ((2, 8, 8), (6, 8, 8), (8, 8, 8), (1, 8, 8))}

BASICSR = [
    {'type': 'BasicVSR', 'num_feat': 8, 'num_block': 2},
    {'type': 'IconVSR', 'num_feat': 16, 'num_block': 1, 'temporal_padding': 3},
    {'type': 'BasicVSRPlusPlus', 'mid_channels': 16, 'num_blocks': 1, 'is_low_res_input': False},
    {'type': 'BasicVSRPlusPlus', 'mid_channels': 16, 'num_blocks': 3, 'is_low_res_input': True},
    {'type': 'EDVR', 'num_feat': 16, 'num_frame': 5, 'deformable_groups': 4, 'num_reconstruct_block': 2},
    {'type': 'EDVR', 'num_feat': 16, 'num_frame': 3, 'with_tsa': False, 'with_predeblur': True, 'hr_in': True},
]
OURS = [
    {'type': 'GSMamba', 'upscale': 3, 'prop_depth': 4, 'attn_depth': 1, 'embed_dims': 16, 'num_heads': 2},
    {'type': 'GSMamba', 'upscale': 1, 'prop_depth': 2, 'attn_depth': 2, 'embed_dims': 8, 'window_size': [3, 4, 5]},
    {'type': 'GSMamba', 'upscale': 8, 'prop_depth': 2, 'attn_depth': 1, 'embed_dims': 8, 'num_heads': 4},
    {
        'type': 'VRT',
        'upscale': 1,
        'window_size': [2, 4, 4],
        'depths': [2, 2, 1, 2, 1, 2, 2, 2, 1],
        'indep_reconsts': [8],
        'embed_dims': [8] * 7 + [12, 12],
        'num_heads': [2] * 8 + [4],
        'mul_attn_ratio': 1.0,
        'mlp_ratio': 3.0,
        'qkv_bias': False,
        'pa_frames': 4,
        'deformable_groups': 4,
        'nonblind_denoising': True,
    },
]


def expected_of(shapes):
    """Weights of some shapes, with the content of the indices that files have."""
    weights = {name: torch.empty(size, device='meta') for name, (size, _) in shapes.items()}
    indices = (name for name in weights if name.endswith('relative_position_index'))
    return {**weights, **{name: relative_position_index(INDICES[len(weights[name])]) for name in indices}}


@pytest.mark.parametrize('options', BASICSR + OURS, ids=str)
def test_all_that_shapes_tell_is_told(options):
    found = recognise(build(options).state_dict())
    assert {key: found.options[key] for key in options} == options
    assert not found.options.keys() & found.assumed.keys()
    rebuilt = build({**found.options, **found.assumed})
    rebuilt.load_state_dict(build(options).state_dict(), strict=True)


@pytest.mark.parametrize('name', RELEASED)
def test_the_released_vrt_are_told(name):
    wanted = RELEASED[name]['kwargs']
    found = recognise(expected_of(RELEASED[name]['state_dict'])).options
    assert {key: found[key] for key in wanted if key != 'img_size'} == {
        key: value for key, value in wanted.items() if key != 'img_size'
    }


def test_the_released_gsm_is_told_and_what_no_shape_tells_is_the_published():
    found = recognise(expected_of(REDS))
    assert found.options == {
        'type': 'GSMamba',
        'upscale': 4,
        'prop_depth': 4,
        'attn_depth': 4,
        'embed_dims': 192,
        'num_heads': 8,
        'window_size': [2, 8, 8],
    }
    assert found.assumed == {
        'pa_frame': 2,
        'anchor': 'center',
        'scatter': 'all',
        'flow_composition': 'reference',
        'ssm_init': 'reference',
    }


@pytest.mark.parametrize('options', BASICSR[:3] + BASICSR[4:], ids=str)
def test_names_of_mmagic_are_told(options):
    names = {f'generator.{name_in_mmagic(name)}': value for name, value in build(options).state_dict().items()}
    found = recognise({'step_counter': torch.zeros(1), **names}).options
    assert {key: found[key] for key in options} == options


@pytest.mark.parametrize('prefix', ['module.', 'net_g.', '_orig_mod.', 'model.generator_ema.'])
def test_wrappers_are_passed_over(prefix):
    options = OURS[0]
    weights = {f'{prefix}{name}': value for name, value in build(options).state_dict().items()}
    assert recognise(weights).options['type'] == 'GSMamba'


def test_a_flow_network_and_an_unknown_one_are_refused():
    flow = {'basic_module.0.basic_module.0.weight': torch.zeros(32, 8, 7, 7)}
    with pytest.raises(UserError, match='flow network alone'):
        recognise(flow)
    with pytest.raises(UserError, match=r'No network is known by these weights \(conv1\.weight'):
        recognise({'conv1.weight': torch.zeros(1)})


def test_weights_that_are_half_there_are_refused():
    weights = {name: value for name, value in build(OURS[0]).state_dict().items() if not name.startswith('conv_first')}
    with pytest.raises(UserError, match=r"not all that tells their sizes \('conv_first\.weight'\)"):
        recognise(weights)


def test_metadata_are_options_or_refused():
    assert options_in({'network_g': '{"type": "GSMamba", "pa_frame": 3}'}) == {'type': 'GSMamba', 'pa_frame': 3}
    assert options_in({'format': 'pt'}) == {}
    for text in ('{"pa_frame": ', '[1]'):
        with pytest.raises(UserError, match='metadata network_g'):
            options_in({'network_g': text})


def test_a_file_says_what_its_shapes_do_not_tell_and_nothing_of_the_run():
    gsm = OURS[0]
    weights = build(gsm).state_dict()
    network_g = {**gsm, 'pa_frame': 3, 'spynet_path': 'x.pth', 'cuda_graphs': True, 'use_checkpoint_ffn': False}
    assert options_in(describe_network(network_g, weights)) == {'type': 'GSMamba', **ASSUMED, 'pa_frame': 3}
    mine = {'type': 'Mine', 'width': 4, 'scan_backend': 'torch', 'edvr_path': 'x.pth'}
    for known_or_not in (weights, {'a': torch.zeros(1)}):
        assert options_in(describe_network(mine, known_or_not)) == {'type': 'Mine', 'width': 4}
