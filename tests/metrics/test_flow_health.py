import math

import pytest
import torch

from gsm_plugin.metrics.flow_health import measure_flows, photometric_error


def shifted(frames=3, step=2, side=20):
    """Noise that moves to the right, and its flows."""
    noise = torch.rand(1, 3, side, side + step * frames, generator=torch.Generator().manual_seed(0))
    clip = torch.stack([noise[..., step * (frames - i) :][..., :side] for i in range(frames)], 1)
    flow = torch.zeros(1, frames - 1, 2, side, side)
    flow[:, :, 0] = step
    return clip, flow, -flow


def test_true_flows_explain_all_but_the_border():
    clip, backward, forward = shifted()
    health = measure_flows(clip, backward, forward)
    assert health.mean_length == health.max_length == 2
    assert health.error < 0.15 * health.error_of_no_motion
    assert not health.is_worse_than_no_motion


def test_wrong_flows_are_worse_than_none_only_where_they_are_clearly():
    clip, backward, forward = shifted(step=0)
    assert not measure_flows(clip, backward, forward).is_worse_than_no_motion
    assert measure_flows(clip, backward + 5, forward + 5).is_worse_than_no_motion


def test_flows_out_of_the_frame_are_measured_at_its_border():
    clip, backward, forward = shifted()
    near, far = (measure_flows(clip, backward + by, forward + by).error for by in (100, 1e6))
    assert near == pytest.approx(far)
    assert near > 0.2


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_flows_that_are_no_numbers_have_no_end(value):
    clip, backward, forward = shifted()
    backward[0, 0, 0, 0, 0] = value
    health = measure_flows(clip, backward, forward)
    assert health.max_length == health.mean_length == health.error == math.inf


def test_a_single_frame_has_no_flows():
    assert measure_flows(torch.rand(1, 1, 3, 8, 8), *torch.zeros(2, 1, 0, 2, 8, 8)) is None


def test_the_error_can_be_differentiated():
    clip, backward, _ = shifted()
    flow = (backward * 0.6).requires_grad_()
    (gradient,) = torch.autograd.grad(photometric_error(clip, flow, -flow), flow)
    # longer flows fit better
    assert gradient[:, :, 0].sum() < 0
