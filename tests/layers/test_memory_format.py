import pytest
import torch

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.memory_format import for_convolutions
from gsm_plugin.layers.upsample import Upsample
from gsm_plugin.switches import tf32


@pytest.fixture
def tensor_cores(monkeypatch):
    """Lets the CPU go the way of a GPU's tensor cores."""
    monkeypatch.setattr('gsm_plugin.layers.memory_format.convolves_on_tensor_cores', lambda _: True)


@pytest.mark.parametrize('scale', [1, 2, 3, 4])
def test_pixels_are_shuffled_the_same_with_channels_last(scale):
    upsample, x = Upsample(scale, 8), torch.rand(2, 8, 3, 5)
    expected = upsample(x)
    actual = upsample(x.contiguous(memory_format=torch.channels_last))
    assert actual.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(actual, expected)


def test_the_network_gives_the_same_with_channels_last(request):
    net, clip = GSMamba(prop_depth=2, attn_depth=1, pa_frame=1, embed_dims=8, num_heads=2), torch.rand(1, 2, 3, 34, 9)
    expected = net(clip)
    request.getfixturevalue('tensor_cores')
    actual = net(clip)
    assert actual.is_contiguous()
    torch.testing.assert_close(actual, expected)


def test_the_cpu_keeps_its_order():
    x = torch.rand(1, 2, 3, 4)
    assert for_convolutions(x) is x


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('on', [True, False])
def test_a_gpu_has_channels_last_for_tensor_cores_alone(monkeypatch, dtype, on):
    monkeypatch.setattr(torch.Tensor, 'is_cuda', True)
    expected = torch.channels_last if on and dtype == torch.float32 else torch.contiguous_format
    for given in (torch.channels_last, torch.contiguous_format):
        x = torch.rand(2, 3, 4, 5, dtype=dtype).contiguous(memory_format=given)
        with tf32.convolutions.turned(on):
            assert for_convolutions(x).is_contiguous(memory_format=expected)
