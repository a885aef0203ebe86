"""What a GSM keeps in memory, with and without gradients, changes no number."""

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.layers.precision import policy_for
from tests.archs.tiny_gsm import clip, tiny
from tests.memory import PeakMemory


def test_inference_in_groups_equals_training_mode(monkeypatch):
    net, x = tiny(), clip(1, 5, 3, 33, 34)
    monkeypatch.setattr('gsm_plugin.fast.gsm._PIXELS_ON_CPU', 2 * 33 * 34 * 4)
    monkeypatch.setattr('gsm_plugin.fast.flow_estimation._PIXELS_AT_ONCE', 3 * 33 * 34)
    monkeypatch.setattr('gsm_plugin.fast.attention._TOKENS_ON_CPU', 2 * 33 * 34)
    with torch.no_grad():
        grouped = net(x)
    torch.testing.assert_close(grouped, net(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize('precision, size', [('fp32', 4), ('bf16', 2)])
def test_inference_keeps_two_feature_maps_of_each_frame_and_no_more(precision, size, monkeypatch):
    channels, side, peaks = 32, 32, {}
    monkeypatch.setattr('gsm_plugin.fast.gsm._PIXELS_ON_CPU', 2 * side * side * 4)
    monkeypatch.setattr('gsm_plugin.fast.flow_estimation._PIXELS_AT_ONCE', 2 * 64 * 64)
    monkeypatch.setattr('gsm_plugin.fast.attention._TOKENS_ON_CPU', 2 * side * side)
    net = tiny(embed_dims=channels)
    policy = policy_for('inference', precision)
    for frames in (8, 24):
        with torch.no_grad(), policy.autocasting(torch.device('cpu')), PeakMemory() as memory:
            net(clip(1, frames, 3, side, side))
        peaks[frames] = memory.peak
    of_a_pixel = (peaks[24] - peaks[8]) / (24 - 8) / side**2
    # those before a layer and in it; besides, input, output, and flows between frames and in windows
    maps, pictures, flows = 2 * channels, 3 + 2**2 * 3, 2 * 2 * (2 + 2 * 3)
    assert of_a_pixel <= size * maps + 4 * (pictures + flows)


@pytest.mark.parametrize('options', [{'attn_depth': 0}, {'pa_frame': 3}, {'scatter': 'anchor'}])
def test_without_gradients_frames_are_overwritten_but_results_are_the_same(options):
    net, x = tiny(**options), clip(2, 4, 3, 17, 18)
    before = x.clone()
    with torch.no_grad():
        in_place = net(x)
    torch.testing.assert_close(in_place, net(x), atol=1e-5, rtol=0)
    assert torch.equal(x, before)


def test_checkpointing_changes_memory_but_no_number():
    frames, flows = clip(1, 3, 12, 12, 8), torch.zeros(1, 3, 3, 2, 12, 12)
    saved, gradients = [], []
    for recompute in (False, True):
        net = tiny(use_checkpoint_attn=recompute, use_checkpoint_ffn=recompute)
        stage = net.prop_layers[0].stage
        elements = 0

        def count(tensor):
            nonlocal elements
            elements += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            output = stage(frames, flows, flows, 1, net.implicit_align)
        output.square().mean().backward()
        saved.append(elements)
        gradients.append([parameter.grad for parameter in stage.parameters()])
    assert saved[1] < 0.5 * saved[0]
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize('part, key', [('attn', 'use_checkpoint_attn'), ('ffn', 'use_checkpoint_ffn')])
def test_each_checkpoint_key_recomputes_its_part(part, key):
    net = tiny(**{key: True})
    calls = {'attn': 0, 'ffn': 0}

    def counts(name):
        def hook(*_):
            calls[name] += 1

        return hook

    net.prop_layers[0].stage.mamba_block.mamba.register_forward_pre_hook(counts('attn'))
    net.prop_layers[0].stage.mamba_block.mlp.register_forward_pre_hook(counts('ffn'))
    net(clip(1, 2, 3, 8, 8)).mean().backward()
    assert calls == {'attn': 2, 'ffn': 2} | {part: 4}
