import dataclasses
import gzip
import json

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)

# isort: split
from basicsr.archs.spynet_arch import SpyNet

from gsm_plugin.archs.vrt_arch import VRT
from gsm_plugin.layers.mutual_attention import MutualWindowAttention
from gsm_plugin.ops import dispatch, flow_warp
from tests.golden import CASES, DATA, TOLERANCE, expected, random_input, with_golden_weights

RELEASED = json.loads(gzip.decompress((DATA / 'vrt_state_dicts.json.gz').read_bytes()))
TINY = {
    'upscale': 2,
    'window_size': (2, 4, 4),
    'depths': (2, 2, 1, 2, 1, 2, 2, 2, 1),
    'indep_reconsts': (8,),
    'embed_dims': (8,) * 9,
    'num_heads': (2,) * 9,
    'deformable_groups': 2,
}


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    net = VRT(**{**TINY, **changes})
    for stage in range(1, 8):
        # The published initialisation has zeros here, which would hide mistakes.
        torch.nn.init.normal_(net.get_submodule(f'stage{stage}').pa_deform.conv_offset[-1].weight, std=0.1)
    return net


def clip(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('name', RELEASED)
def test_state_dict_is_that_of_the_released_network(name):
    with torch.device('meta'):
        net = VRT(**RELEASED[name]['kwargs'])
    actual = {key: [list(value.shape), str(value.dtype)] for key, value in net.state_dict().items()}
    assert actual == RELEASED[name]['state_dict']
    assert sum(parameter.numel() for parameter in net.parameters()) == RELEASED[name]['params']


def test_output_is_golden():
    case = CASES['vrt_pa2']
    net = with_golden_weights(VRT(**case['kwargs'])).eval()
    with torch.no_grad():
        output = net(random_input('vrt_pa2', tuple(case['input_shape'])))
    torch.testing.assert_close(output[..., ::7, ::7], expected('vrt_pa2/output'), atol=TOLERANCE, rtol=0)
    assert output.mean().item() == pytest.approx(case['mean'], abs=TOLERANCE)
    assert output.std().item() == pytest.approx(case['std'], abs=TOLERANCE)


@pytest.mark.parametrize('pa_frames', [2, 4, 6])
@pytest.mark.parametrize('shape', [(1, 1, 3, 1, 1), (1, 2, 3, 1, 9), (2, 3, 3, 17, 33), (1, 5, 3, 24, 8)])
def test_any_size_and_length_works(shape, pa_frames):
    net = tiny(pa_frames=pa_frames, embed_dims=(12,) * 9, deformable_groups=6).eval()
    with torch.no_grad():
        output = net(clip(*shape))
    assert output.shape == (*shape[:3], 2 * shape[3], 2 * shape[4])
    assert output.isfinite().all()


@pytest.mark.parametrize('upscale', [1, 2, 3, 4, 8])
def test_scales(upscale):
    x = clip(1, 2, 3, 9, 10)
    assert tiny(upscale=upscale)(x).shape == (1, 2, 3, 9 * upscale, 10 * upscale)


def test_a_side_that_is_no_multiple_of_8_is_reflected_and_cut_back():
    net, x = tiny().eval(), clip(1, 2, 3, 13, 16)
    reflected = torch.cat((x, x[..., 9:12, :].flip(-2)), -2)
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(reflected)[..., :26, :], atol=1e-6, rtol=0)


def test_a_single_frame_is_shown_twice_only_where_pairs_attend_to_each_other():
    x = clip(1, 1, 3, 8, 8)
    with torch.no_grad():
        net = tiny().eval()
        torch.testing.assert_close(net(x), net(x.expand(-1, 2, -1, -1, -1))[:, :1], atol=1e-6, rtol=0)
        net = tiny(mul_attn_ratio=0).eval()
        assert (net(x) - net(x.expand(-1, 2, -1, -1, -1))[:, :1]).abs().max() > 1e-4


def test_pad_frames_repeats_the_last_frame_until_windows_are_full():
    net, padding = (tiny(window_size=(4, 4, 4), pad_frames=pad).eval() for pad in (False, True))
    x = clip(1, 3, 3, 8, 16)
    with torch.no_grad():
        repeated = net(torch.cat((x, x[:, -1:]), 1))[:, :3]
        torch.testing.assert_close(padding(x), repeated, atol=1e-6, rtol=0)
        assert (padding(x) - net(x)).abs().max() > 1e-4


def test_clips_of_a_batch_do_not_see_each_other():
    net, x = tiny().eval(), clip(2, 3, 3, 16, 24)
    torch.testing.assert_close(net(x)[1:], net(x[1:]), atol=1e-5, rtol=0)


def test_inference_in_groups_equals_training_mode(monkeypatch):
    net, x = tiny().eval(), clip(1, 4, 3, 16, 24)
    monkeypatch.setattr('gsm_plugin.fast.vrt._PIXELS_AT_ONCE', 2 * 16 * 24 * 4)
    monkeypatch.setattr('gsm_plugin.fast.vrt._PIXELS_ALIGNED_AT_ONCE', 2 * 16 * 24)
    with torch.no_grad():
        grouped = net(x)
    torch.testing.assert_close(grouped, net(x), atol=1e-5, rtol=0)


def test_flows_reach_frames_further_away_at_every_resolution():
    net = with_golden_weights(tiny(pa_frames=6, embed_dims=(12,) * 9, deformable_groups=6))
    x = random_input('reach', (1, 4, 3, 40, 48))

    def follow(steps):
        total = steps[0]
        for step in steps[1:]:
            total = total + flow_warp(step.movedim(1, -1), total).movedim(-1, 1)
        return total

    with torch.no_grad():
        backward, forward = net.estimate_flows(x)
    assert len(backward) == len(forward) == 4
    for level in range(4):
        for k in (1, 2, 3):
            for flows, single in (
                (backward[level][k - 1], backward[level][0]),
                (forward[level][k - 1], forward[level][0]),
            ):
                assert flows.shape == (1, 4 - k, 2, 40 >> level, 48 >> level)
                for i in range(4 - k):
                    steps = range(i, i + k) if single is backward[level][0] else range(i + k - 1, i - 1, -1)
                    torch.testing.assert_close(flows[:, i], follow([single[:, j] for j in steps]))


def test_flows_of_the_finest_resolution_are_those_of_basicsr():
    net = with_golden_weights(tiny())
    reference = SpyNet().double()
    reference.load_state_dict(net.spynet.state_dict())
    x = random_input('finest', (1, 2, 3, 40, 72))
    with torch.no_grad():
        backward, forward = net.estimate_flows(x)
        torch.testing.assert_close(backward[0][0][:, 0], reference(x[:, 0], x[:, 1]))
        torch.testing.assert_close(forward[0][0][:, 0], reference(x[:, 1], x[:, 0]))


def test_checkpointing_changes_memory_but_no_number():
    x = clip(1, 2, 3, 16, 16)
    saved, results = [], []
    for recompute in (False, True):
        net = tiny(use_checkpoint_attn=recompute, use_checkpoint_ffn=recompute)
        elements = 0

        def count(tensor):
            nonlocal elements
            elements += tensor.numel()
            return tensor

        with torch.no_grad():
            flows = net.estimate_flows(x)
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            output = net.propagate(torch.ones(1, 2, 16, 16, 8), *flows)
        output.square().mean().backward()
        saved.append(elements)
        results.append([output, *(parameter.grad for parameter in net.parameters() if parameter.grad is not None)])
    assert saved[1] < 0.8 * saved[0]
    assert len(results[0]) > 300
    for plain, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(plain, recomputed, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize('part', ['attn', 'ffn'])
def test_checkpointing_leaves_out_the_named_stages(part):
    net = tiny(**{f'use_checkpoint_{part}': True, f'no_checkpoint_{part}_blocks': [1, 7]})
    calls = dict.fromkeys(('stage1', 'stage2', 'stage8.1', 'stage8.2'), 0)

    def counts(name):
        def hook(*_):
            calls[name] += 1

        return hook

    for name in calls:
        group = 'residual_group' if name.startswith('stage8') else 'residual_group2'
        block = net.get_submodule(f'{name}.{group}.blocks.0')
        (block.attn if part == 'attn' else block.mlp).register_forward_pre_hook(counts(name))
    net(clip(1, 2, 3, 8, 8)).mean().backward()
    assert calls == {'stage1': 2, 'stage2': 1, 'stage8.1': 1, 'stage8.2': 2}


def test_training_leaves_out_branches_with_a_probability_that_grows():
    net = tiny(drop_path_rate=0.5)
    rates = [block.drop_path.p for block in net.stage8[1].residual_group.blocks]
    rates += [block.drop_path.p for block in net.stage8[2].residual_group.blocks]
    assert rates == pytest.approx([0.5 * i / 14 for i in (12, 13, 14)])
    x = clip(1, 2, 3, 8, 8)
    outputs = [net(x) for _ in range(2)]
    assert (outputs[0] - outputs[1]).abs().max() > 0
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize('key, op', [('warp_backend', 'flow_warp'), ('attention_backend', 'window_attention')])
def test_each_backend_key_reaches_its_op(monkeypatch, key, op):
    taken = []

    def record(name, backend):
        def runs_on(device):
            taken.append(name)
            return backend.runs_on(device)

        return dataclasses.replace(backend, runs_on=runs_on) if backend.name == 'naive' else backend

    net, x = tiny(**{key: 'naive'}).eval(), clip(1, 2, 3, 8, 8)
    with torch.no_grad():
        expected = tiny().eval()(x)
        monkeypatch.setattr(dispatch, '_OPS', {
            name: tuple(record(name, backend) for backend in backends) for name, backends in dispatch._OPS.items()
        })  # fmt: skip
        torch.testing.assert_close(net(x), expected, atol=1e-5, rtol=0)
    # seven stages warp both ways; attention is called once for each block, and once more for each mutual one
    assert taken == [op] * {'warp_backend': 7 * 2, 'attention_backend': sum(TINY['depths']) + 5}[key]


def test_the_feed_forward_networks_have_the_width_that_is_asked_for():
    net = tiny(mlp_ratio=1.3)
    blocks = net.stage1.residual_group1.blocks[0], net.stage8[1].residual_group.blocks[0]
    assert [block.mlp.fc11.out_features for block in blocks] == [10, 10]


def test_reconstruction_stages_have_windows_of_one_frame_where_asked():
    depths = [stage.residual_group.blocks[0].attn.window_size[0] for stage in tiny().stage8[1:]]
    assert depths == [2, 1]


def test_the_first_part_of_the_blocks_has_mutual_attention():
    stage = tiny(depths=(5, 1, 1, 1, 1, 1, 1, 1, 1), mul_attn_ratio=0.5).stage1
    kinds = [[type(block.attn) is MutualWindowAttention for block in group.blocks]
             for group in (stage.residual_group1, stage.residual_group2)]  # fmt: skip
    assert kinds == [[True] * 2, [False] * 3]


def test_nonblind_denoising_reads_the_level_of_the_noise():
    net = tiny(nonblind_denoising=True, upscale=1).eval()
    x = clip(1, 2, 4, 8, 8)
    other = x.clone()
    other[:, :, 3] = 0
    with torch.no_grad():
        assert net(x).shape == (1, 2, 3, 8, 8)
        assert (net(x) - net(other)).abs().max() > 1e-3


def test_bfloat16_is_close_to_float32():
    net, x = tiny().eval(), clip(1, 3, 3, 16, 24)
    with torch.no_grad():
        exact = net(x)
        with torch.autocast('cpu', torch.bfloat16):
            rounded = net(x)
    assert (exact - rounded).abs().max() < 0.05


def test_every_parameter_gets_a_gradient():
    net = tiny(pa_frames=4, deformable_groups=4)
    net(clip(1, 3, 3, 8, 16)).square().mean().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'upscale': 5}, 'upscale is 5; set one of 1, 2, 3, 4, 8'),
        ({'in_chans': 1, 'out_chans': 1}, 'in_chans is 1 and out_chans 1; set both to 3'),
        ({'window_size': (8, 8)}, r'window_size is \(8, 8\); set three whole numbers'),
        ({'window_size': 8}, 'window_size is 8; set three whole numbers'),
        ({'window_size': (2, 0, 8)}, r'window_size is \(2, 0, 8\)'),
        ({'pa_frames': 3}, 'pa_frames is 3; set 2, 4 or 6'),
        ({'pa_frames': 0}, 'pa_frames is 0'),
        ({'mul_attn_ratio': 2}, 'mul_attn_ratio is 2; set a number from 0 to 1'),
        ({'mlp_ratio': 0}, 'mlp_ratio is 0; set a number above 0'),
        ({'drop_path_rate': 1}, 'drop_path_rate is 1; set a number from 0 to below 1'),
        ({'depths': 8}, 'depths is 8; set a list with a whole number from 0 up'),
        ({'num_heads': (0,) * 9}, r'num_heads is \(0, .*; set a list with a whole number from 1 up'),
        ({'depths': (1,) * 8}, 'have 8, 9 and 9 entries; give each one entry per stage, 8 or more'),
        ({'depths': (1,) * 7, 'embed_dims': (8,) * 7, 'num_heads': (2,) * 7}, 'have 7, 7 and 7 entries'),
        ({'num_heads': (2,) * 8 + (3,)}, r'embed_dims\[8\] is 8 with 3 heads; set a multiple of num_heads\[8\]'),
        ({'embed_dims': (6,) * 9}, r'embed_dims\[0\] is 6; set a multiple of 4'),
        ({'embed_dims': (8, 16, 8, 8, 8, 8, 8, 8, 8)}, r'embed_dims\[1\] is 16 and embed_dims\[5\] 8; set them equal'),
        ({'indep_reconsts': (3,)}, r'indep_reconsts is \[3\]; name stages from 7 on'),
        ({'deformable_groups': 3}, 'deformable_groups is 3 with 1 neighbours of 8 channels each; set a divisor of 8'),
        ({'warp_backend': 'cuda'}, "flow_warp has no backend 'cuda'"),
        ({'attention_backend': 'cuda'}, "window_attention has no backend 'cuda'"),
    ],
)
def test_wrong_values_are_named_at_construction(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


@pytest.mark.parametrize('shape', [(3, 8, 8), (2, 3, 8, 8), (1, 2, 4, 8, 8), (1, 0, 3, 8, 8)])
def test_a_wrong_input_is_named(shape):
    with pytest.raises(ValueError, match=r'input of shape .*; give \(b, t, 3, h, w\)'):
        tiny()(torch.zeros(shape))
