import math

import pytest
import torch

from gsm_plugin.ops import compose_reaching_flows, compose_window_flows, flow_warp
from tests.ops.comparison import assert_same_function, random_tensors


def constant(dx, dy, n=1, h=6, w=8):
    return torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(n, 2, h, w)


def motion(angle, zoom, x, y):
    """A turn and zoom about the place (x, y), as a matrix (3, 3) on homogeneous coordinates."""
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2, :2] = turn
    matrix[:2, 2] = torch.tensor([x, y], dtype=torch.float64) @ (torch.eye(2, dtype=torch.float64) - turn).t()
    return matrix


def flow_of(matrix, side):
    """The displacement of every pixel by a matrix, (2, side, side)."""
    place = torch.stack(torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 2, indexing='xy'))
    return torch.einsum('ij,jhw->ihw', matrix[:2, :2], place) + matrix[:2, 2, None, None] - place


@pytest.mark.parametrize('anchor', [2, 4])
def test_both_compositions_agree_beside_the_anchor(anchor):
    backward, forward = random_tensors((1, 6, 2, 9, 11), (1, 6, 2, 9, 11))
    reference, exact = (compose_window_flows(backward, forward, 2, anchor, name) for name in ('reference', 'exact'))
    for i in range(5):
        same = [torch.equal(a[:, :, i], b[:, :, i]) for a, b in zip(reference, exact, strict=True)]
        assert same == [abs(i - anchor) <= 1] * 2


# a clip that is shorter than a window, and anchors in the middle and at both ends
@pytest.mark.parametrize('anchor', [0, 2, 4])
@pytest.mark.parametrize('steps', [1, 3, 6])
@pytest.mark.parametrize('composition', ['reference', 'exact'])
def test_windows_match_naive(composition, steps, anchor):
    def of(backend):
        return lambda *flows: torch.cat(compose_window_flows(*flows, 2, anchor, composition, backend))

    assert_same_function(of('torch'), of('naive'), random_tensors(*[(2, steps, 2, 5, 6)] * 2))


@pytest.mark.parametrize('steps', [1, 2, 5])
def test_reaching_flows_match_naive(steps):
    def of(backend):
        return lambda flows: torch.cat(compose_reaching_flows(flows, 3, backend), 1)

    assert_same_function(of('torch'), of('naive'), random_tensors((2, steps, 2, 5, 6)))


def test_constant_motion_adds_up_in_both_compositions():
    backward = constant(0.5, -0.25, h=40, w=40)[:, None].repeat(1, 6, 1, 1, 1)
    for name in ('reference', 'exact'):
        gather, scatter = compose_window_flows(backward, -backward, 2, 2, name)
        inner = (slice(None), 3, slice(None), slice(None), slice(5, 35), slice(5, 35))
        steps = torch.arange(-2, 3, dtype=torch.float64).view(1, 5, 1, 1, 1)
        expected = steps * constant(0.5, -0.25, h=30, w=30)[:, None]
        torch.testing.assert_close(gather[inner], expected)
        torch.testing.assert_close(scatter[inner], -expected)


def test_positions_outside_the_clip_stand_still():
    backward, forward = random_tensors((1, 2, 2, 5, 6), (1, 2, 2, 5, 6))
    gather, scatter = compose_window_flows(backward, forward, 2, 2)
    assert gather.shape == scatter.shape == (1, 3, 5, 2, 5, 6)
    assert (gather[:, 0, :3] == 0).all()
    torch.testing.assert_close(gather[:, 0, 3], backward[:, 0])
    torch.testing.assert_close(scatter[:, 2, 1], backward[:, 1])
    assert (scatter[:, 2, 2:] == 0).all()


def test_a_single_frame_has_no_motion():
    none = torch.zeros(1, 0, 2, 5, 6)
    gather, scatter = compose_window_flows(none, none, 1, 1)
    assert gather.shape == (1, 1, 3, 2, 5, 6)
    assert not gather.any()
    assert not scatter.any()


def test_exact_composition_aligns_better_where_motion_differs_between_frames():
    """Frame i + 1 is frame i turned and zoomed, each time about another place, by another angle and factor."""
    side = 64
    turns = [(0.02, 1.02, 10, 50), (-0.10, 0.96, 40, 20), (0.14, 1.05, 60, 30), (-0.05, 1.0, 5, 5)]
    steps = [motion(*turn) for turn in turns]
    backward = torch.stack([flow_of(step, side) for step in steps])[None]
    forward = torch.stack([flow_of(step.inverse(), side) for step in steps])[None]
    # from the anchor, frame 2, to the ends of the window
    out = {0: (steps[1] @ steps[0]).inverse(), 4: steps[3] @ steps[2]}
    truth = {i: (flow_of(matrix, side), flow_of(matrix.inverse(), side)) for i, matrix in out.items()}
    inner = slice(16, -16)
    errors = {}
    for name in ('reference', 'exact'):
        flows = compose_window_flows(backward, forward, 2, 2, name)
        errors[name] = max(
            (flow[0, 2, i] - truth[i][way])[:, inner, inner].norm(dim=0).max().item()
            for way, flow in enumerate(flows)
            for i in (0, 4)
        )
    assert errors['exact'] < 1e-9
    assert errors['reference'] > 0.3


def test_an_unknown_composition_is_named():
    with pytest.raises(ValueError, match="flow_composition is 'other'; set one of reference, exact"):
        compose_window_flows(*random_tensors((1, 2, 2, 5, 6), (1, 2, 2, 5, 6)), 1, 1, 'other')


def test_constant_flow_reaches_as_many_times_as_far():
    flows = torch.full((2, 3, 2, 8, 8), 0.25)
    one, two, three, four = compose_reaching_flows(flows, 4)
    assert torch.equal(one, flows)
    assert [part.shape[1] for part in (two, three, four)] == [2, 1, 0]
    # beside the right and lower border a place leaves the image, where flow is zero
    torch.testing.assert_close(two[..., :-1, :-1], torch.full((2, 2, 2, 7, 7), 0.5))
    torch.testing.assert_close(three[..., :-1, :-1], torch.full((2, 1, 2, 7, 7), 0.75))


def test_a_reaching_flow_goes_on_where_the_last_one_has_led():
    flows = torch.randn(1, 3, 2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, two, three = compose_reaching_flows(flows, 3)
    then = flow_warp(flows[:, 1].movedim(1, -1), flows[:, 0]).movedim(-1, 1)
    torch.testing.assert_close(two[:, 0], flows[:, 0] + then)
    then = flow_warp(flows[:, 2].movedim(1, -1), two[:, 0]).movedim(-1, 1)
    torch.testing.assert_close(three[:, 0], two[:, 0] + then)
