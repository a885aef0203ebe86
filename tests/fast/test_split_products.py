"""A network in float32 is as exact by split products as by those of float32."""

import pytest
import torch

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.spynet import LEVELS
from gsm_plugin.ops import dispatch
from gsm_plugin.ops.conv_feed_forward.torch_impl import conv_feed_forward_torch
from gsm_plugin.ops.dispatch import replaced
from gsm_plugin.ops.encoded_query.torch_impl import encoded_query_torch
from gsm_plugin.ops.gated_feed_forward.torch_impl import gated_feed_forward_torch
from gsm_plugin.ops.sub_pixel_convolution.torch_impl import sub_pixel_convolution_torch
from gsm_plugin.ops.successive_convolutions.torch_impl import successive_convolutions_torch
from gsm_plugin.switches import split_products
from tests.archs.tiny_gsm import TINY, clip
from tests.golden import with_golden_weights
from tests.ops.triton_device import DEVICE

# As on a GPU, where Numba's kernels do not multiply what `linear` and convolutions do there.
AS_ON_A_GPU = {
    'conv_feed_forward': conv_feed_forward_torch,
    'encoded_query': encoded_query_torch,
    'gated_feed_forward': gated_feed_forward_torch,
    'successive_convolutions': successive_convolutions_torch,
}


def run(net, x):
    with torch.no_grad():
        return net(x)


def test_split_products_are_as_far_from_float64_as_those_of_float32():
    pytest.importorskip('triton')
    split, convolve = (dispatch.implementation(op, 'triton') for op in ('linear', 'sub_pixel_convolution'))
    calls, sides = [], []

    def counted(*arguments):
        calls.append(split_products.products.is_on())
        return split(*arguments)

    def counted_convolution(*arguments):
        side = arguments[1].shape[-1]
        sides.append(side)
        # many taps take the interpreter minutes
        of_side = convolve if side == 3 or DEVICE == 'cuda' else sub_pixel_convolution_torch
        return of_side(*arguments)

    net, x = with_golden_weights(GSMamba(**TINY, scan_backend='torch')).to(DEVICE), clip(1, 3, 3, 9, 8).to(DEVICE)
    expected = run(net, x.double())
    net.float()
    with replaced(AS_ON_A_GPU):
        plain = run(net, x)
        with replaced({'linear': counted, 'sub_pixel_convolution': counted_convolution}):
            actual = run(net, x)
    # of each window and layer: query, keys and values, both projections of the scan, both of the feed-forward network
    assert len(calls) > 6 * 3 * TINY['prop_depth']
    assert all(calls)
    # of each level of the flow network; before the enlargement, in it, behind it, and that to colours
    assert sides.count(7) == 5 * LEVELS
    assert sides.count(3) >= 4
    far, as_far = (((x.double() - expected).norm() / expected.norm()).item() for x in (actual, plain))
    assert far < max(2 * as_far, 1e-6)
