"""BasicSR's warp with a grid in float32: the same bits in float32, the right places in bfloat16."""

import inspect
import subprocess
import sys

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import pytest
import torch
from basicsr.archs import arch_util, basicvsr_arch, basicvsrpp_arch, spynet_arch

ORIGINAL = inspect.unwrap(arch_util.flow_warp)


def test_every_network_gets_it():
    assert ORIGINAL is not arch_util.flow_warp
    for module in (basicvsr_arch, basicvsrpp_arch, spynet_arch):
        assert module.flow_warp is arch_util.flow_warp


@pytest.mark.parametrize('padding', ['zeros', 'border', 'reflection'])
@pytest.mark.parametrize('size', [(1, 1), (5, 300), (7, 9)])
@pytest.mark.parametrize('mode', ['bilinear', 'nearest'])
def test_float32_gives_the_same_bits(padding, size, mode):
    noise = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, *size, generator=noise)
    flow = 4 * torch.randn(2, *size, 2, generator=noise)
    expected = ORIGINAL(x, flow, mode, padding)
    torch.testing.assert_close(arch_util.flow_warp(x, flow, mode, padding), expected, atol=0, rtol=0)


def test_columns_beyond_256_are_where_they_are_in_bfloat16():
    x = torch.rand(1, 1, 2, 400, generator=torch.Generator().manual_seed(0)).bfloat16()
    flow = torch.zeros(1, 2, 400, 2)
    with torch.autocast('cpu', torch.bfloat16):
        kept, lost = arch_util.flow_warp(x, flow), ORIGINAL(x, flow)
    torch.testing.assert_close(kept.bfloat16(), x)
    assert not torch.allclose(lost.bfloat16(), x)


def test_a_flow_of_another_size_is_refused():
    with pytest.raises(AssertionError):
        arch_util.flow_warp(torch.rand(1, 1, 4, 4), torch.zeros(1, 4, 5, 2))


@pytest.mark.parametrize('padding_mode', ['zeros', 'border', 'reflection'])
@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_flows_that_are_no_numbers_do_not_kill_the_process(value, padding_mode):
    # In a process of its own, since the gradient of grid_sample ends it by a signal
    code = f"""
import gsm_plugin.compat
gsm_plugin.compat.install()
import torch
from basicsr.archs.arch_util import flow_warp
x, flow = torch.rand(1, 3, 8, 8, requires_grad=True), torch.full((1, 8, 8, 2), float('{value}'), requires_grad=True)
flow_warp(x, flow, padding_mode='{padding_mode}').sum().backward()
"""
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
