"""The policies of `gsm_plugin.layers.precision` as tables for a page."""

import torch

from gsm_plugin.inference.choices import PRECISIONS
from gsm_plugin.layers.precision import POLICIES, Policy, Use, Work
from gsm_plugin.scoring.report.tables import markdown_table

_WORKS = {
    'ends': 'first and last layers, and what all windows share',
    'attention': 'attention with its feed-forward network',
    'gather': 'gather: the implicit warp with its projections',
    'scan': 'scan with its projections, and scatter',
    'feed_forward': 'feed-forward network, depthwise convolution',
    'flow_network': 'flow network',
    'flow_hidden': 'its hidden layers',
    'taps': 'taps of deformable convolutions (VRT)',
}

# Kinds of work that are convolutions before all; the others are products of matrices.
_CONVOLUTIONS = ('ends', 'flow_network', 'flow_hidden')
# Kinds of work whose products or convolutions may be split.
_SPLIT = ('ends', 'attention', 'gather', 'scan', 'feed_forward', 'flow_network')


def precision_tables() -> str:
    """A table for training and one for inference, a column for each precision."""
    return f'{_table("training")}\n{_table("inference")}'


def _table(use: Use) -> str:
    policies = [POLICIES[use, precision] for precision in PRECISIONS]
    rows = [
        ['autocast around the network', *('none' if one.autocast is None else _name(one.autocast) for one in policies)],
        [
            "PyTorch's switches for TF32",
            *({None: 'as they are', True: 'on', False: 'off'}[one.tf32] for one in policies),
        ],
        *([title, *(_factors(one, field) for one in policies)] for field, title in _WORKS.items()),
        ['frames that layers add to', *(_name(one.frames or torch.float32) for one in policies)],
        ['output, loss', *(_name(one.output) for one in policies)],
    ]
    if use == 'training':
        rows += [
            ['steps that the scan keeps', *(_steps(one) for one in policies)],
            ['loss scaled', *('yes' if one.scales_loss else 'no' for one in policies)],
        ]
    return markdown_table([use, *PRECISIONS], rows)


def _factors(policy: Policy, field: str) -> str:
    """What a kind of work multiplies: a type, or TF32, or float32 in two parts."""
    work: Work = getattr(policy, field)
    if field == 'flow_hidden' and work == Work():
        return _factors(policy, 'flow_network')
    if work.in_place_of_tf32:
        return f'{_name(policy.factors(work, torch.float32))} for TF32'
    dtype = policy.factors(work, torch.float32)
    if dtype != torch.float32:
        return _name(dtype)
    if policy.splits and field in _SPLIT:
        return 'split float32'
    own = work.convolutions if field in _CONVOLUTIONS else work.products
    by_tf32 = policy.tf32 if own is None else own
    return {True: 'TF32', False: 'float32', None: 'float32 or TF32'}[by_tf32]


def _steps(policy: Policy) -> str:
    return _name(policy.scan_steps or policy.factors(policy.scan, torch.float32))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')
