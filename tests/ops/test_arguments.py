"""Ops refuse, in one sentence, what kernels would take for what it is not."""

import pytest
import torch

from gsm_plugin.ops import (
    Cells,
    ScanParameters,
    SumAndNorm,
    bidirectional_scan,
    flow_warp,
    gather_norm,
    implicit_warp,
    scatter_norm,
    surrounding_pixels,
)

FRAMES, FLOW, CHANNELS, POSITIONS = (1, 4, 6, 8), (1, 2, 4, 6), (8,), (4, 8)


def call_gather_norm(weight, bias, **cells):
    return gather_norm(Cells(**cells), 2, 1, weight, bias, 1e-5, torch.float32)


def call_scatter_norm(frames, aligned, flow, **parameters):
    return scatter_norm(frames, aligned, flow, SumAndNorm(**parameters), 1e-5, torch.float32)


def call_bidirectional_scan(x, z, **parameters):
    return bidirectional_scan(x, z, ScanParameters(**parameters))


CELLS = {
    'query': FRAMES,
    'key': FRAMES,
    'value': FRAMES,
    'flow': FLOW,
    'key_position': POSITIONS,
    'value_position': POSITIONS,
}
OPS = {
    flow_warp: {'x': FRAMES, 'flow': FLOW},
    surrounding_pixels: {'x': (1, 8, 4, 6), 'flow': FLOW},
    lambda **given: implicit_warp(**given, num_heads=2): CELLS,
    call_gather_norm: {**CELLS, 'weight': CHANNELS, 'bias': CHANNELS},
    call_scatter_norm: {
        'frames': (1, *FRAMES),
        'aligned': (1, *FRAMES),
        'flow': (1, *FLOW),
        **dict.fromkeys(SumAndNorm._fields, CHANNELS),
    },
    call_bidirectional_scan: {
        'x': (1, 5, 8),
        'z': (1, 5, 8),
        'conv_weight': (2, 8, 4),
        'conv_bias': (2, 8),
        'x_proj': (2, 10, 8),
        'dt_proj': (2, 8, 2),
        'dt_bias': (2, 8),
        'A': (2, 8, 4),
        'D': (2, 8),
    },
}
CALLS = [(op, shapes, name) for op, shapes in OPS.items() for name in shapes]


@torch.no_grad()
@pytest.mark.parametrize('op, shapes, name', CALLS)
def test_each_argument_is_checked(op, shapes, name):
    given = {key: torch.zeros(shape) for key, shape in shapes.items()}
    op(**given)
    with pytest.raises(ValueError, match=f'^{name} is of numpy.ndarray; make it a tensor'):
        op(**given | {name: given[name].numpy()})
    with pytest.raises(ValueError, match=r'^\w+ is on (meta|cpu), but \w+ on (meta|cpu); move one of them\.$'):
        op(**given | {name: given[name].to('meta')})
    if name != 'flow':
        with pytest.raises(ValueError, match=f'^{name} is of int64; make it float'):
            op(**given | {name: given[name].long()})


@torch.no_grad()
@pytest.mark.parametrize(
    'op, name', [(op, name) for op, shapes in OPS.items() for name in shapes if name in ('query', 'frames')]
)
def test_axes_that_are_missing_are_named(op, name):
    given = {key: torch.zeros(shape) for key, shape in OPS[op].items()}
    with pytest.raises(ValueError, match=rf'^{name} has the shape \(.*\); give \([a-z, ]+\)\.$'):
        op(**given | {name: given[name][0]})


@torch.no_grad()
def test_no_heads_are_refused():
    given = {key: torch.zeros(shape) for key, shape in CELLS.items()}
    with pytest.raises(ValueError, match='8 channels in 0 heads'):
        implicit_warp(**given, num_heads=0)
    with pytest.raises(ValueError, match='8 channels in 0 heads'):
        gather_norm(Cells(**given), 0, 1, torch.zeros(8), torch.zeros(8), 1e-5, torch.float32)
