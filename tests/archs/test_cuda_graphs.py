import logging

import pytest
import torch

from gsm_plugin.archs.cuda_graphs import GraphedCall
from gsm_plugin.archs.gsm_arch import GSMamba

SIZES = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 32, 'num_heads': 4}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='CUDA graphs need a GPU')


def networks(**options):
    torch.manual_seed(0)
    plain = GSMamba(**SIZES, **options)
    graphed = GSMamba(**SIZES, **options, cuda_graphs=True)
    graphed.load_state_dict(plain.state_dict())
    return plain, graphed


def step(net, clip, precision=None):
    net.zero_grad(set_to_none=True)
    with torch.autocast(clip.device.type, precision, enabled=precision is not None):
        output = net(clip)
    output.float().square().mean().backward()
    return output, {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_without_a_gpu_it_says_so_once_and_computes_the_same(caplog):
    plain, graphed = networks()
    assert plain.state_dict().keys() == graphed.state_dict().keys()
    clip = torch.rand(1, 2, 3, 9, 10)
    with caplog.at_level(logging.WARNING, 'basicsr.gsm_plugin'):
        for _ in range(2):
            torch.testing.assert_close(step(graphed, clip)[0], step(plain, clip)[0])
    told = [record.message for record in caplog.records if 'cuda_graphs' in record.message]
    assert told == ['cuda_graphs: runs without them, since they need a CUDA device, the input is on cpu.']


@gpu
@pytest.mark.parametrize('precision', [None, torch.bfloat16])
@pytest.mark.parametrize('recompute', [False, True])
def test_training_steps_are_those_without_graphs(precision, recompute):
    plain, graphed = (net.cuda() for net in networks(use_checkpoint_attn=recompute, use_checkpoint_ffn=recompute))
    for seed in range(3):
        torch.manual_seed(seed)
        clip = torch.rand(2, 3, 3, 32, 40, device='cuda')
        (expected, expected_grads), (actual, actual_grads) = (
            step(plain, clip, precision),
            step(graphed, clip, precision),
        )
        tolerance = 1e-5 if precision is None else 2e-2
        torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)
        assert actual_grads.keys() == expected_grads.keys()
        largest = max(grad.norm() for grad in expected_grads.values())
        for name, grad in expected_grads.items():
            assert (actual_grads[name] - grad).norm() <= 10 * tolerance * grad.norm() + 1e-6 * largest, name


def test_gradients_add_up_over_replays_which_write_them_to_the_same_memory(monkeypatch):
    class Replay(torch.autograd.Function):
        """What `make_graphed_callables` makes, without a GPU: its backward pass returns views of one buffer."""

        buffer = torch.zeros(3)

        @staticmethod
        def forward(ctx, x, weight):
            return x * weight

        @staticmethod
        def backward(ctx, dy):
            Replay.buffer.copy_(dy * torch.tensor([1.0, 2.0, 3.0]))
            return None, Replay.buffer.detach()

    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.ones(3))
    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', lambda *_, **__: lambda x: Replay.apply(x, module.weight))
    call = GraphedCall(lambda x: x * module.weight, [module])
    monkeypatch.setattr(torch.Tensor, 'is_cuda', True)
    for _ in range(3):
        call(torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert module.weight.grad.tolist() == [3, 6, 9]


@gpu
def test_accumulated_gradients_are_those_without_graphs():
    plain, graphed = (net.cuda() for net in networks())
    clips = torch.rand(3, 1, 3, 3, 32, 40, device='cuda')
    for net in (plain, graphed):
        for clip in clips:
            net(clip).square().mean().backward()
    largest = max(p.grad.norm() for p in plain.parameters() if p.grad is not None)
    for (name, expected), actual in zip(plain.named_parameters(), graphed.parameters(), strict=True):
        if expected.grad is not None:
            error = (actual.grad - expected.grad).norm()
            assert error <= 1e-4 * expected.grad.norm() + 1e-6 * largest, name


@gpu
def test_training_follows_the_weights_and_another_size_is_told(caplog):
    plain, graphed = (net.cuda() for net in networks())
    clip = torch.rand(1, 3, 3, 32, 40, device='cuda')
    step(graphed, clip)
    for net in (plain, graphed):
        with torch.no_grad():
            net.conv_last.weight.mul_(2)
    torch.testing.assert_close(step(graphed, clip)[0], step(plain, clip)[0], atol=1e-5, rtol=1e-5)
    with caplog.at_level(logging.WARNING, 'basicsr.gsm_plugin'):
        step(graphed, clip[..., :8])
    assert 'a training step differs from the first one, whose input was (1, 3, 3, 32, 40)' in caplog.text


@gpu
def test_inference_is_captured_at_the_second_equal_call():
    plain, graphed = (net.cuda().eval() for net in networks())
    clips = [torch.rand(1, frames, 3, 24, 40, device='cuda') for frames in (3, 3, 3, 4, 3, 4, 4, 3)]
    with torch.no_grad():
        for clip in clips:
            torch.testing.assert_close(graphed(clip), plain(clip), atol=1e-5, rtol=1e-5)
        plain.conv_last.bias.add_(1)
        graphed.conv_last.bias.add_(1)
        torch.testing.assert_close(graphed(clips[-1]), plain(clips[-1]), atol=1e-5, rtol=1e-5)


@gpu
def test_a_graph_is_not_used_after_the_module_moved():
    linear = torch.nn.Linear(3, 3).cuda()
    call = GraphedCall(lambda x: linear(x), [linear])
    x = torch.rand(2, 3, device='cuda')
    with torch.no_grad():
        for _ in range(3):
            call(x)
        linear.weight.data = torch.zeros(3, 3, device='cuda')
        torch.testing.assert_close(call(x), linear(x))
