"""Every cell of the table of precisions is what a network computes: its products are watched, and what it keeps."""

import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import fields
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gsm_plugin.archs.vrt_arch import VRT
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.layers.precision import HALF, POLICIES, Policy, Work, policy_for
from gsm_plugin.switches import split_products, tf32
from tests.archs.tiny_gsm import clip, tiny

CPU, GPU = torch.device('cpu'), torch.device('cuda')
PRODUCTS = ('mm', 'addmm', 'addmm_', 'bmm', 'baddbmm', 'convolution', 'deform_conv2d')
# Places in the code, from the inside to the outside of a call, and the kind of work there; None is an op's own affair.
PLACES = {
    'ops/window_attention/': None,
    'ops/bidirectional_scan/': None,
    'ops/mamba_mixer/': 'scan',
    'ops/conv_feed_forward/': 'feed_forward',
    # of taps alone
    'ops/successive_convolutions/numba_impl.py:NoneType._merge': None,
    '.key_and_value': 'ends',
    'FastImplicitWarp.__init__': 'ends',
    'layers/implicit_warp.py': 'gather',
    'fast/implicit_warp.py': 'gather',
    'BiMamba': 'scan',
    '._mix': 'scan',
    '._gather_and_mix': 'scan',
    'ConvMlp': 'feed_forward',
    'layers/window_attention.py': 'attention',
    'fast/window_parts.py': 'attention',
    'fast/attention.py': 'attention',
    'layers/flow_pyramid.py': 'flow_network',
    '._embed': 'ends',
    '._reconstruct': 'ends',
}
# On a GPU alone, see `test_flow_estimation.py`; and of VRT, below.
ELSEWHERE = {'flow_hidden', 'taps'}
WORKS = {field.name for field in fields(Policy) if isinstance(field.default, Work)} - ELSEWHERE
# Ops that are no products: modules that call them, and the kind of work.
OPS = {
    'training': {('layers.mlp', 'depthwise_conv_gelu'): 'feed_forward', ('layers.gather_scatter', 'flow_warp'): 'scan'},
    'inference': {('fast.gather_scatter', 'conv_feed_forward'): 'feed_forward'},
}
CELLS = pytest.mark.parametrize('use, precision', list(POLICIES))


@pytest.fixture(autouse=True)
def _small_pyramids(monkeypatch):
    """The flow network's frames are not enlarged, for half precision is slow on a CPU."""
    monkeypatch.setattr('gsm_plugin.layers.flow_pyramid._SMALLEST_SIDE', 1)


class Watch(TorchDispatchMode):
    """Notes by kind of work the types of factors, and where they are float32, whether TF32 is on for them.

    Attributes:
        seen: The same.
        split: Whether products may be split, in all.
    """

    def __init__(self):
        super().__init__()
        self.seen = defaultdict(set)
        self.split = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in PRODUCTS and (place := _place()):
            self.note(place, next(x.dtype for x in args if isinstance(x, torch.Tensor)), 'conv' in name)
        return function(*args, **(kwargs or {}))

    def note(self, kind, dtype, convolves=False):
        self.split.add(split_products.products.is_on())
        switch = tf32.convolutions if convolves else tf32.products
        self.seen[kind].add((dtype, convolves, switch.is_on() if dtype == torch.float32 else None))


def _place():
    """The kind of work that is being done; nothing in a backward pass, which is C++."""
    frame, ours = sys._getframe(2), []
    while frame:
        _, found, path = frame.f_code.co_filename.rpartition('gsm_plugin/')
        if found:
            owner = frame.f_locals.get('self')
            ours.append(f'{path}:{type(owner).__name__}.{frame.f_code.co_name}')
        frame = frame.f_back
    for name in ours:
        for place, kind in PLACES.items():
            if place in name:
                return kind
    assert not ours, f'a product of no kind: {ours}'
    return None


def run(net, x, use, policy, watch):
    """A step, or a clip, where the process has the switches of a GPU; the types of frames after each layer."""
    sums = set()
    with ExitStack() as stack:
        stack.enter_context(policy.multiplying_float32(GPU))
        for (module, name), kind in OPS[use].items():
            stack.enter_context(_noted(module, name, kind, watch))
        if use == 'training' or policy.is_plain:
            for layer in net.prop_layers:
                layer.register_forward_hook(lambda _, __, output: sums.add(output.dtype))
        else:
            stack.enter_context(_results_of('gsm_plugin.fast.gsm.run_stage', sums))
        with watch, torch.set_grad_enabled(use == 'training'):
            with policy.autocasting(CPU):
                output = net(x)
            if use == 'training':
                output.to(policy.output).square().mean().backward()
    return sums


def _noted(module, name, kind, watch):
    target = f'gsm_plugin.{module}.{name}'
    original = getattr(sys.modules[f'gsm_plugin.{module}'], name)

    def noted(x, *others):
        watch.seen[kind].add((x.dtype, None, None))
        return original(x, *others)

    return mock.patch(target, noted)


def _results_of(target, types):
    module, name = target.rsplit('.', 1)
    original = getattr(sys.modules[module], name)

    def noted(*arguments):
        result = original(*arguments)
        types.add(result.dtype)
        return result

    return mock.patch(target, noted)


def assert_is_as_the_table_says(seen, policy, before):
    for kind in WORKS:
        work = getattr(policy, kind)
        dtype = work.dtype or policy.autocast or torch.float32
        for actual, convolves, by_tf32 in seen[kind]:
            assert actual == dtype, kind
            if by_tf32 is not None:
                own = work.convolutions if convolves else work.products
                around = before if policy.tf32 is None else policy.tf32
                assert by_tf32 == (around if own is None else own), kind


@CELLS
@pytest.mark.parametrize('before, recompute', [(False, True), (True, False)])
def test_a_network_computes_and_keeps_what_its_cell_says(use, precision, before, recompute):
    policy, watch = policy_for(use, precision), Watch()
    net, x = tiny(use_checkpoint_attn=recompute, use_checkpoint_ffn=recompute), clip(1, 2, 3, 9, 8)
    with tf32.products.turned(before), tf32.convolutions.turned(before):
        sums = run(net, x, use, policy, watch)
    assert set(watch.seen) == WORKS
    assert_is_as_the_table_says(watch.seen, policy, before)
    assert watch.split == {policy.splits}
    assert not split_products.products.is_on()
    assert sums == {policy.frames or torch.float32}
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    if use == 'training':
        assert {parameter.grad.dtype for parameter in net.parameters()} == {torch.float32}


@pytest.mark.parametrize('use', ['training', 'inference'])
@pytest.mark.parametrize('precision', HALF)
def test_by_plain_autocast_everything_is_in_its_type_and_no_switch_is_turned(use, precision):
    policy, watch = policy_for(use, precision, plain_autocast=True), Watch()
    net = tiny(use_checkpoint_attn=True, use_checkpoint_ffn=True)
    with (
        tf32.products.turned(True),
        mock.patch.object(tf32.products, 'turned', wraps=tf32.products.turned) as products,
        mock.patch.object(tf32.convolutions, 'turned', wraps=tf32.convolutions.turned) as convolutions,
    ):
        run(net, clip(1, 2, 3, 9, 8), use, policy, watch)
        # where activations are computed again, products are as they were
        assert {call.args for call in products.mock_calls} <= {(True,)}
        assert not convolutions.mock_calls
    assert set(watch.seen) == WORKS
    assert all(dtype == HALF[precision] for noted in watch.seen.values() for dtype, *_ in noted)


@CELLS
def test_taps_are_in_float32_and_the_rest_of_vrt_follows_autocast(use, precision):
    sizes = {'depths': (1,) * 8, 'embed_dims': (8,) * 8, 'num_heads': (2,) * 8, 'indep_reconsts': ()}
    net = VRT(2, **sizes, window_size=(2, 4, 4), deformable_groups=2)
    policy, seen = policy_for(use, precision), defaultdict(set)

    class OfVrt(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.overloadpacket.__name__
            ours = [name for name in _files() if not name.startswith('ops/')]
            if name in (*PRODUCTS, 'tanh') and ours:
                # places of taps are by a tangent
                of_taps = name in ('deform_conv2d', 'tanh')
                kind = 'taps' if of_taps else 'flow' if 'layers/flow_pyramid.py' in ours else 'rest'
                seen[kind].add(args[0].dtype)
            return function(*args, **(kwargs or {}))

    with OfVrt(), torch.set_grad_enabled(use == 'training'), policy.autocasting(CPU):
        net(clip(1, 2, 3, 8, 8))
    assert seen['taps'] == {policy.taps.dtype}
    assert seen['flow'] == {torch.float32}
    assert (policy.autocast or torch.float32) in seen['rest']


def _files():
    frame = sys._getframe(2)
    while frame:
        _, found, path = frame.f_code.co_filename.rpartition('gsm_plugin/')
        if found:
            yield path
        frame = frame.f_back


@CELLS
def test_the_scan_is_told_in_which_type_to_keep_its_steps(use, precision):
    told, module = (
        [],
        sys.modules['gsm_plugin.layers.bimamba' if use == 'training' else 'gsm_plugin.fast.gather_scatter'],
    )
    scan, policy = module.bidirectional_scan, policy_for(use, precision)

    def noted(*arguments):
        told.append(arguments[4] if len(arguments) > 4 else None)
        return scan(*arguments)

    with (
        mock.patch.object(module, 'bidirectional_scan', noted),
        torch.set_grad_enabled(use == 'training'),
        policy.autocasting(CPU),
    ):
        # by name, as on a GPU, the scan is an op apart from its projections
        tiny(scan_backend='torch')(clip(1, 2, 3, 9, 8))
    assert set(told) == {policy.scan_steps}


@pytest.mark.parametrize('precision, plain', [('fp32', False), ('bf16', False), ('bf16', True)])
def test_a_restorer_runs_its_policy_and_gives_the_type_of_its_output(precision, plain):
    policies = []

    def network(x):
        policies.append(torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else None)
        return x.to(policies[-1])

    restorer = Restorer(network, 1, precision=precision, plain_autocast=plain)
    for one in (restorer, restorer.with_tile(None), restorer.with_precision(precision)):
        assert one.policy == policy_for('inference', precision, plain)
    assert restorer.restore(clip(1, 2, 3, 4, 4)).dtype == restorer.policy.output
    assert policies == [restorer.policy.autocast]
    assert not restorer.with_precision('fp32').policy.is_plain
