"""What is composed of flows that lead far outside the image or are not finite is finite."""

from functools import partial

import pytest
import torch

from gsm_plugin.ops import compose_reaching_flows, compose_window_flows, flow_warp
from gsm_plugin.ops.compose_window_flows import COMPOSITIONS, torch_impl
from tests.ops.comparison import random_tensors
from tests.ops.far_flows import assert_close, bad_flow, beyond, results

pytestmark = pytest.mark.usefixtures('triton_anywhere')


def windows(flows, composition, backend='torch'):
    """Gather and scatter flows of windows of five, from the same flows (1, t, 2, h, w) both ways."""
    return torch.stack(compose_window_flows(flows, flows, 2, 2, composition, backend))


def reaching(flows, backend='torch'):
    return torch.cat(compose_reaching_flows(flows, 3, backend), 1)


COMPOSED = {**{name: partial(windows, composition=name) for name in COMPOSITIONS}, 'reaching': reaching}


def flows_between_frames():
    """Flows between five frames, (1, 4, 2, h, w), of which the first two are bad."""
    return torch.cat((bad_flow(), 0.5 * random_tensors((2, 2, 4, 4))[0]))[None]


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize(('name', 'backend'), [*((name, 'torch') for name in COMPOSED), ('reaching', 'triton')])
def test_what_is_composed_is_finite_and_that_of_naive(name, backend, dtype, monkeypatch):
    flows = flows_between_frames()
    monkeypatch.setattr(torch_impl, 'flow_warp', partial(flow_warp, backend=backend))
    found = results(COMPOSED[name], flows, [], dtype)
    naive = results(partial(COMPOSED[name], backend='naive'), flows, [], torch.float64)
    for actual, expected in zip(found, naive, strict=True):
        assert_close(actual, expected, dtype)
    assert not found[1].cpu()[beyond(flows)].any()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('name', COMPOSED)
def test_what_is_composed_of_flows_in_half_precision_is_finite_and_stays_in_it(name, dtype, monkeypatch):
    monkeypatch.setattr(torch_impl, 'flow_warp', partial(flow_warp, backend='torch'))
    composed = COMPOSED[name](flows_between_frames().to(dtype))
    assert composed.dtype == dtype
    assert composed.isfinite().all()


@pytest.mark.parametrize('name', COMPOSED)
def test_bad_flows_leave_what_is_composed_of_others_alone(name, monkeypatch):
    monkeypatch.setattr(torch_impl, 'flow_warp', partial(flow_warp, backend='torch'))
    flows = flows_between_frames()
    actual, expected = (COMPOSED[name](x) for x in (flows, torch.where(flows.abs() < 10, flows, 0)))
    # the window of the last frame, which reaches two frames back; of the flows that reach farther, the last of one step
    # and of two
    picked = (slice(None), slice(None), -1) if name in COMPOSITIONS else (slice(None), [3, 6])
    assert torch.equal(actual[picked], expected[picked])
    assert not torch.equal(actual, expected)
