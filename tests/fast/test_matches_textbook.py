"""What `gsm_plugin.fast` gives is what `gsm_plugin.layers` computes, whatever the options, the type and the size."""

import itertools

import pytest
import torch

from gsm_plugin.archs.gsm_arch import ANCHORS, GSMamba
from gsm_plugin.archs.vrt_arch import VRT
from gsm_plugin.layers.gather_scatter import SCATTERS
from gsm_plugin.layers.precision import policy_for
from tests.golden import with_golden_weights

# Norm of the difference over that of what the network adds to the enlarged clip.
TOLERANCES = {'fp32': 5e-6, 'bf16': 1.5e-2, 'fp16': 4e-3}
GSM = {'upscale': 2, 'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2}
VRT_OPTIONS = {
    'upscale': 2,
    'depths': (2, 1, 1, 1, 1, 1, 2, 1, 1),
    'indep_reconsts': (8,),
    'embed_dims': (8,) * 9,
    'num_heads': (2,) * 9,
    'window_size': (2, 4, 4),
    'deformable_groups': 2,
}
# One pixel, often enough for rounding to average out; two clips smaller than a window; longer, and beyond a window to
# the right.
CLIPS = [(16, 1, 3, 1, 1), (2, 3, 3, 7, 9), (1, 4, 3, 9, 17)]


def assert_fast_matches(net, shape, precision):
    net = net.float().eval()
    lq = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with policy_for('inference', precision).autocasting(lq.device):
        textbook = net(lq).detach()
        with torch.no_grad():
            fast = net(lq)
    assert fast.dtype == textbook.dtype
    enlarged = torch.nn.functional.interpolate(lq.flatten(0, 1), textbook.shape[3:], mode='bilinear')
    added = (textbook - enlarged.view(textbook.shape)).norm()
    assert (fast - textbook).norm() <= TOLERANCES[precision] * added


@pytest.mark.parametrize('precision', TOLERANCES)
@pytest.mark.parametrize('shape', CLIPS)
@pytest.mark.parametrize('anchor, scatter', list(itertools.product(ANCHORS, SCATTERS)))
def test_gsm(anchor, scatter, shape, precision):
    assert_fast_matches(with_golden_weights(GSMamba(**GSM, anchor=anchor, scatter=scatter)), shape, precision)


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize(
    'change',
    [
        {'upscale': 1},
        {'upscale': 3},
        {'pa_frame': 0},
        {'pa_frame': 3},
        {'attn_depth': 0},
        {'prop_depth': 4},
        {'embed_dims': 20, 'num_heads': 5},
        {'window_size': (3, 4, 5)},
        {'flow_composition': 'exact'},
    ],
)
def test_gsm_of_other_sizes(change, precision):
    assert_fast_matches(with_golden_weights(GSMamba(**GSM | change)), CLIPS[1], precision)


@pytest.mark.parametrize('precision', TOLERANCES)
@pytest.mark.parametrize('shape', CLIPS)
@pytest.mark.parametrize('change', [{}, {'upscale': 1, 'pa_frames': 4, 'qkv_bias': False, 'pad_frames': True}])
def test_vrt(change, shape, precision):
    # other weights than those it starts with make so much of a rounded flow that half precision shows nothing
    torch.manual_seed(0)
    assert_fast_matches(VRT(**VRT_OPTIONS | change), shape, precision)
