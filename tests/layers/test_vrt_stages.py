"""Parallel warping against its definition, frame by frame and tap by tap."""

import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.layers.flow_guided_deform import FlowGuidedDeform
from gsm_plugin.layers.vrt_stages import ParallelWarpStage, ResidualAttentionGroup
from gsm_plugin.ops import flow_warp

DIM, HEIGHT, WIDTH = 12, 6, 7
NEIGHBOURS = [1, 2, 3]


def random(*shape, seed=0, scale=1.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def deform(neighbours, groups):
    torch.manual_seed(0)
    net = FlowGuidedDeform(DIM, neighbours, groups, max_residue=2.5).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def stage(**changes):
    torch.manual_seed(0)
    sizes = {'in_dim': DIM, 'dim': DIM, 'depth': 2, 'num_heads': 2, 'window_size': (2, 4, 4), 'drop_paths': [0, 0]}
    warping = {'scale': 1, 'neighbours': 1, 'deformable_groups': 2}
    options = {**sizes, 'mutual_ratio': 0.5, 'reshape': 'none', **warping, **changes}
    net = ParallelWarpStage(**options).double()
    torch.nn.init.normal_(net.pa_deform.conv_offset[-1].weight, std=0.1)
    return net


def sample(channel, y, x):
    """Bilinear, with zeros outside."""
    total = 0.0
    for row in (int(y // 1), int(y // 1) + 1):
        for column in (int(x // 1), int(x // 1) + 1):
            if 0 <= row < HEIGHT and 0 <= column < WIDTH:
                total += channel[row, column].item() * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def deform_naive(net, frame, neighbours, flows):
    """One frame (h, w, c), its neighbours (k, h, w, c) and flows (k, 2, h, w)."""
    k = len(neighbours)
    warped = [flow_warp(one[None], flow[None])[0] for one, flow in zip(neighbours, flows, strict=True)]
    seen = [*(one.permute(2, 0, 1) for one in warped), frame.permute(2, 0, 1), *flows]
    residue_1, residue_2, mask = net.conv_offset(torch.cat(seen)[None])[0].chunk(3)
    residue = net.max_residue * torch.cat((residue_1, residue_2)).tanh()
    flow_of_channel = torch.cat([flow.flip(0).repeat(len(residue) // (2 * k), 1, 1) for flow in flows])
    offset, mask = residue + flow_of_channel, mask.sigmoid()
    image = torch.cat([one.permute(2, 0, 1) for one in neighbours])
    output = net.bias[:, None, None].repeat(1, HEIGHT, WIDTH)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            taken = torch.zeros(len(image), 9, dtype=torch.float64)
            for channel in range(len(image)):
                group = channel * net.groups // len(image)
                for tap in range(9):
                    i = group * 9 + tap
                    place = y + tap // 3 - 1 + offset[2 * i, y, x], x + tap % 3 - 1 + offset[2 * i + 1, y, x]
                    taken[channel, tap] = mask[i, y, x] * sample(image[channel], *(value.item() for value in place))
            for out in range(DIM):
                own = taken[out * k // DIM * DIM :][:DIM]
                output[out, y, x] += (net.weight[out].flatten(1) * own).sum()
    return output.permute(1, 2, 0)


@pytest.mark.parametrize('neighbours, groups', [(1, 1), (1, 3), (2, 4), (3, 4)])
def test_the_deformable_convolution_matches_its_definition(neighbours, groups):
    net = deform(neighbours, groups)
    frames, others = random(2, HEIGHT, WIDTH, DIM), random(2, neighbours, HEIGHT, WIDTH, DIM, seed=1)
    flows = random(2, neighbours, 2, HEIGHT, WIDTH, seed=2)
    with torch.no_grad():
        expected = torch.stack([deform_naive(net, *one) for one in zip(frames, others, flows, strict=True)])
        torch.testing.assert_close(net(frames, others, flows), expected)


def test_at_first_the_taps_lie_where_the_flows_point_to():
    torch.manual_seed(0)
    net = FlowGuidedDeform(DIM, 1, 2, max_residue=2.5).double()
    torch.nn.init.zeros_(net.weight)
    with torch.no_grad():
        net.weight[:, :, 1, 1] = torch.eye(DIM)
    frames, flows = random(1, HEIGHT, WIDTH, DIM), random(1, 1, 2, HEIGHT, WIDTH, seed=1)
    expected = 0.5 * flow_warp(frames, flows[:, 0])
    torch.testing.assert_close(net(frames, frames[:, None], flows), expected)


@pytest.mark.parametrize('neighbours', NEIGHBOURS)
@pytest.mark.parametrize('frames', [2, 3, 6])
def test_each_frame_is_fused_with_its_neighbours_on_both_sides(frames, neighbours):
    net = stage(neighbours=neighbours, deformable_groups=2 * neighbours)
    x = random(2, frames, HEIGHT, WIDTH, DIM)
    flows_backward, flows_forward = (
        [random(2, max(0, frames - k), 2, HEIGHT, WIDTH, seed=seed + k) for k in range(1, neighbours + 1)]
        for seed in (10, 20)
    )
    still, nothing = torch.zeros(2, 2, HEIGHT, WIDTH).double(), torch.zeros_like(x[:, 0])
    with torch.no_grad():
        shown = net.reshape(x)
        shown = shown + net.linear1(net.residual_group1(shown))
        shown = shown + net.linear2(net.residual_group2(shown))
        fused = []
        for i in range(frames):
            sides = []
            for sign in (1, -1):
                others, flows = [], []
                for k in range(1, neighbours + 1):
                    exists = 0 <= i + sign * k < frames
                    flow = flows_backward[k - 1][:, i] if sign > 0 and exists else still
                    flow = flows_forward[k - 1][:, i - k] if sign < 0 and exists else flow
                    flows.append(flow)
                    others.append(shown[:, i + sign * k] if exists else nothing)
                alone = not 0 <= i + sign < frames
                inputs = shown[:, i], torch.stack(others, 1), torch.stack(flows, 1)
                sides.append(nothing if alone else net.pa_deform(*inputs))
            fused.append(net.pa_fuse(torch.cat((shown[:, i], *sides), -1)))
        torch.testing.assert_close(net(x, flows_backward, flows_forward), torch.stack(fused, 1))


def test_going_down_takes_pixels_column_by_column_and_going_up_reverses_it():
    x = random(1, 1, 4, 6, 8)
    down, up = (stage(in_dim=8, reshape=kind).reshape[0] for kind in ('down', 'up'))
    folded = down(x)
    expected = torch.cat([x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)], -1)
    assert torch.equal(folded, expected)
    assert torch.equal(up(folded), x)


def test_coarse_stages_have_smaller_residues():
    assert [stage(scale=scale).pa_deform.max_residue for scale in (1, 2, 8)] == [10, 5, 1.25]


def test_the_residual_group_adds_a_projection_of_the_attention():
    torch.manual_seed(0)
    net, x = ResidualAttentionGroup(8, 1, 2, (2, 4, 4)).double(), random(1, 2, 4, 4, 8)
    torch.testing.assert_close(net(x), x + F.linear(net.residual_group(x), net.linear.weight, net.linear.bias))
