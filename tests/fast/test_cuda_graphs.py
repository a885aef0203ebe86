import logging
import threading
from contextlib import nullcontext
from unittest.mock import MagicMock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.fast import cuda_graphs
from gsm_plugin.fast.cuda_graphs import GraphedInference, GraphedTraining, Replay, _TrainingGraphs, stand_ins

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


def assert_same_gradients(plain, graphed):
    largest = max(p.grad.norm() for p in plain.parameters() if p.grad is not None)
    for (name, expected), actual in zip(plain.named_parameters(), graphed.parameters(), strict=True):
        if expected.grad is not None:
            error = (actual.grad - expected.grad).norm()
            assert error <= 1e-4 * expected.grad.norm() + 1e-6 * largest, name


def test_without_a_gpu_it_says_so_once_and_computes_the_same(caplog):
    plain, graphed = networks()
    assert plain.state_dict().keys() == graphed.state_dict().keys()
    clip = torch.rand(1, 2, 3, 9, 10)
    with caplog.at_level(logging.WARNING, 'basicsr.gsm_plugin'):
        for _ in range(2):
            torch.testing.assert_close(step(graphed, clip)[0], step(plain, clip)[0])
    told = [record.message for record in caplog.records if 'cuda_graphs' in record.message]
    assert told == ['cuda_graphs: runs without them, since they need a CUDA device, the input is on cpu.']


class NothingOfTheHost(TorchDispatchMode):
    """Forbids what a CUDA graph cannot contain: reading values, and tensors from numbers of Python."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.lift_fresh.default)
        return function(*args, **(kwargs or {}))


@torch.no_grad()
@pytest.mark.parametrize('size', [(64, 64), (24, 40), (34, 70)])
def test_inference_reads_no_values_and_takes_no_tensor_from_the_host(size):
    net, clip = networks()[0], torch.rand(1, 3, 3, *size)
    with NothingOfTheHost(), torch.autocast('cpu', torch.bfloat16):
        net.restore(clip)


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
        tolerance = 1e-5 if precision is None else 2e-3
        torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)
        assert actual_grads.keys() == expected_grads.keys()
        largest = max(grad.norm() for grad in expected_grads.values())
        for name, grad in expected_grads.items():
            assert (actual_grads[name] - grad).norm() <= 10 * tolerance * grad.norm() + 1e-6 * largest, name


@pytest.fixture
def captures_on_cpu(monkeypatch):
    """Lets graphs be captured without a GPU, to no effect."""
    for name in ('Stream', 'current_stream', 'CUDAGraph'):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    for name in ('stream', 'graph'):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: nullcontext())


@pytest.mark.parametrize('precision', [torch.bfloat16, torch.float16])
def test_the_backward_pass_is_captured_without_autocast(captures_on_cpu, precision):
    """As in a training step without graphs, so that what was multiplied in float32 has its gradients in float32."""
    layer, forward, backward = torch.nn.Linear(3, 3), [], []

    class Recorder(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            backward.append(torch.is_autocast_enabled('cpu'))
            return 2 * grad

    def function(x):
        y = layer(Recorder.apply(x))
        forward.append(y.dtype)
        return y.float()

    with torch.autocast('cpu', precision):
        _TrainingGraphs(function, [layer], (torch.rand(2, 3, requires_grad=True),))
        assert torch.is_autocast_enabled('cpu')
    assert set(forward) == {precision}
    # steps before the capture, and the capture
    assert backward == [False] * 4


class GraphsOnCpu:
    """What `Replay` needs of graphs of a product, without a GPU: results are written to the same memory each time."""

    def __init__(self):
        self.step, self.output, self.gradient = 0, torch.zeros(3), torch.zeros(3)

    def replay_forward(self, x, weight):
        self.step += 1
        return self.output.copy_(x * weight)

    def replay_backward(self, grad_output):
        self.gradient.copy_(grad_output * torch.tensor([1.0, 2.0, 3.0]))
        # a tensor that nobody else has, which autograd would take as it is
        return None, self.gradient.detach()


def test_outputs_stay_and_gradients_add_up_over_replays_which_write_to_the_same_memory():
    graphs, weight, x = GraphsOnCpu(), torch.ones(3, requires_grad=True), torch.tensor([1.0, 2.0, 3.0])
    outputs = []
    for factor in (1, 2, 3):
        outputs.append(Replay.apply(graphs, factor * x, weight))
        outputs[-1].sum().backward()
    assert weight.grad.tolist() == [3, 6, 9]
    assert [output[0].item() for output in outputs] == [1, 2, 3]


def test_a_backward_pass_after_another_step_is_refused():
    graphs, weight = GraphsOnCpu(), torch.ones(3, requires_grad=True)
    first, _ = (Replay.apply(graphs, torch.ones(3), weight) for _ in range(2))
    with pytest.raises(RuntimeError, match='another step ran before its backward pass; call backward after each'):
        first.sum().backward()


def teststand_ins_share_memory_and_leave_the_parameters_alone():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False))
    module[1].weight = module[0].weight
    module[0].bias.requires_grad_(False)
    own = list(module.parameters())
    with stand_ins([module]) as others:
        module(torch.ones(1, 2)).sum().backward()
    assert [other.requires_grad for other in others] == [True, False]
    assert [other.data_ptr() for other in others] == [parameter.data_ptr() for parameter in own]
    assert others[0].grad is not None
    assert own[0].grad is None
    assert [id(parameter) for parameter in module.parameters()] == [id(parameter) for parameter in own]


def test_a_capture_that_fails_is_explained(monkeypatch):
    def fail(*_):
        raise RuntimeError('operation not permitted\nand more')

    monkeypatch.setattr('gsm_plugin.fast.cuda_graphs._TrainingGraphs', fail)
    monkeypatch.setattr(torch.Tensor, 'is_cuda', True)
    monkeypatch.setattr(torch.cuda, 'device', lambda device: nullcontext())
    call = GraphedTraining(lambda x: x, [])
    message = r'cuda_graphs: the capture failed \(operation not permitted\); set cuda_graphs: false'
    with pytest.raises(RuntimeError, match=message):
        call(torch.ones(1))


@gpu
def test_training_goes_through_distributed_data_parallel():
    """A single process is enough: DDP holds on to the stream that it was made on."""
    plain, graphed = (net.cuda() for net in networks())
    torch.distributed.init_process_group('nccl', store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(graphed, device_ids=[0])
        clips = torch.rand(3, 1, 3, 3, 32, 40, device='cuda')
        for clip in clips:
            plain(clip).square().mean().backward()
            wrapped(clip).square().mean().backward()
    finally:
        torch.distributed.destroy_process_group()
    assert_same_gradients(plain, graphed)


@gpu
@pytest.mark.parametrize('trains', [True, False])
def test_other_threads_may_pin_memory_during_a_capture(trains):
    """The threads of data loaders do, with `pin_memory: true`."""
    stop, failures, rounds = threading.Event(), [], []

    def pin():
        kept = []
        try:
            while not stop.is_set():
                # another size each time, so that memory is really asked for
                kept.append(torch.zeros(2**20 + 2**16 * len(kept)).pin_memory())
                kept[-1].cuda(non_blocking=True)
                torch.cuda.Event().record()
                rounds.append(None)
                kept = kept[-20:]
        except RuntimeError as error:
            failures.append(error)

    net = networks()[1].cuda().train(trains)
    clip = torch.rand(1, 3, 3, 32, 40, device='cuda')
    thread = threading.Thread(target=pin)
    thread.start()
    try:
        with torch.set_grad_enabled(trains):
            for _ in range(3):
                output = net(clip)
                if trains:
                    output.square().mean().backward()
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert len(rounds) > 1


@gpu
def test_accumulated_gradients_are_those_without_graphs():
    plain, graphed = (net.cuda() for net in networks())
    clips = torch.rand(3, 1, 3, 3, 32, 40, device='cuda')
    for net in (plain, graphed):
        for clip in clips:
            net(clip).square().mean().backward()
    assert_same_gradients(plain, graphed)


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
@pytest.mark.parametrize('half', [False, True])
def test_inference_is_captured_at_the_second_equal_call(half):
    nets = plain, graphed = tuple(net.cuda().eval() for net in networks())
    clips = [torch.rand(1, frames, 3, 24, 40, device='cuda') for frames in (3, 3, 3, 4, 3, 4, 4, 3)]

    def assert_same(clip):
        with torch.no_grad(), torch.autocast('cuda', torch.bfloat16, half):
            torch.testing.assert_close(graphed(clip), plain(clip), atol=1e-5, rtol=1e-5)

    for clip in clips:
        assert_same(clip)
    with torch.no_grad():
        for net in nets:
            # in half precision, the weight of a linear layer is kept by autocast, the other is not
            net.conv_after_body.weight.mul_(2)
            net.conv_last.bias.add_(1)
    assert_same(clips[-1])


@gpu
def test_a_graph_is_not_used_after_the_module_moved():
    linear = torch.nn.Linear(3, 3).cuda()
    call = GraphedInference(lambda x: linear(x), [linear])
    x = torch.rand(1, 2, 3, 5, 3, device='cuda')
    with torch.no_grad():
        for _ in range(3):
            call(x)
        linear.weight.data = torch.zeros(3, 3, device='cuda')
        torch.testing.assert_close(call(x), linear(x))


def test_clips_of_many_pixels_are_not_captured(monkeypatch):
    captured = MagicMock()
    monkeypatch.setattr(cuda_graphs, '_InferenceGraph', captured)
    monkeypatch.setattr(cuda_graphs, '_MOST_PIXELS', 2 * 8 * 8)
    graphed = GraphedInference(lambda clip: clip + 1, [])
    for frames, captures in ((3, 0), (2, 1)):
        clip = torch.zeros(1, frames, 3, 8, 8)
        for _ in range(2):
            graphed._run(('call', frames), (clip,))
        assert captured.call_count == captures
