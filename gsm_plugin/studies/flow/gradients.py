"""Are the gradients of flows and flow network right? By each way on which they come, in each precision."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.archs import gsm_arch
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.ops.compose_window_flows import torch_impl as flow_composition
from gsm_plugin.studies.clips import StudyClip, charbonnier
from gsm_plugin.studies.flow.subject import Subject, unit_shift
from gsm_plugin.studies.networks import TORCH

WAYS = ('all', 'gather', 'scatter', 'all, composition apart')
STEPS = {'1e-6': 1e-6, '1e-4': 1e-4, '1e-2': 1e-2, '1/16': 1 / 16, '1/4': 1 / 4, '1/2': 1 / 2, '1': 1.0}
KINDS = ('flows', 'network')


def exact_gradients(subject: Subject, clip: StudyClip, backends: dict[str, str]) -> dict[str, dict[str, Tensor]]:
    """Gradients of the loss in float64, by way and kind.

    Args:
        subject: The network.
        clip: Small, since the naive network in float64 is slow.
        backends: `NAIVE` of `studies.networks`, the reference, or `TORCH`, which a test holds to it, for larger clips.
    """
    return {
        way: _gradients(subject.network(**backends).double(), clip.lq.double(), clip.gt.double(), 'fp32', way)
        for way in WAYS
    }


def rows_of_ways(exact: dict[str, dict[str, Tensor]]) -> list[list[str]]:
    """For each way: norms over those of all, and cosines with all, of flows and flow network."""
    whole = exact['all']
    return [
        [
            way,
            *(f'{exact[way][kind].norm() / whole[kind].norm():.3f}' for kind in KINDS),
            *(f'{_cosine(exact[way][kind], whole[kind]):.3f}' for kind in KINDS),
        ]
        for way in WAYS
    ]


def rows_of_precisions(
    subject: Subject, clip: StudyClip, exact: dict[str, dict[str, Tensor]], precisions: Sequence[str]
) -> Iterator[list[str]]:
    """Yields precision, CUDA graphs, way, kind, cosine and ratio of norms against `exact`."""
    for precision in precisions:
        for graphs in (False, True) if subject.device.type == 'cuda' else (False,):
            # a graph holds what it was captured with, so a way that is cut off would stay so
            for way in WAYS[: 1 if graphs else 3]:
                found = _gradients(subject.network(cuda_graphs=graphs), clip.lq, clip.gt, precision, way)
                for kind in KINDS:
                    actual, wanted = found[kind].double(), exact[way][kind]
                    ratio = f'{actual.norm() / wanted.norm():.4f}'
                    yield [precision, str(graphs).lower(), way, kind, f'{_cosine(actual, wanted):.5f}', ratio]


def rows_of_differences(subject: Subject, clip: StudyClip, gradient: Tensor) -> Iterator[list[str]]:
    """Yields the derivative of the loss along directions of the flows, by the gradient and by central differences.

    Args:
        subject: The network, which computes in float64 by its torch backends here.
        clip: That of the gradient.
        gradient: Of the loss to the flows, in float64.

    Yields:
        Name of the direction, whose root mean square is a pixel, derivative by the gradient, those by `STEPS`.
    """
    net, lq, gt = subject.network(**TORCH).double(), clip.lq.double(), clip.gt.double()
    with torch.no_grad():
        flows = torch.stack(net.estimate_flows(lq))
    for name, direction in _directions(flows, gradient.view(flows.shape)).items():
        row = [name, f'{(gradient.view(flows.shape) * direction).sum().item():+.3e}']
        for step in STEPS.values():
            with torch.no_grad():
                ahead, behind = (charbonnier(net.enhance(lq, *(flows + s * step * direction)), gt) for s in (1, -1))
            row.append(f'{((ahead - behind) / (2 * step)).item():+.3e}')
        yield row


def _directions(flows: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    generator = torch.Generator(flows.device).manual_seed(0)
    coarse = torch.randn(flows.shape[:3].numel(), 2, 4, 4, dtype=flows.dtype, device=flows.device, generator=generator)
    smooth = F.interpolate(coarse, flows.shape[-2:], mode='bicubic', align_corners=True).view(flows.shape)
    return {
        'x, with the motion': unit_shift(flows[0], 0),
        'y, with the motion': unit_shift(flows[0], 1),
        'smooth, random': smooth / smooth.square().mean().sqrt(),
        'the gradient': gradient / gradient.square().mean().sqrt(),
    }


def _gradients(net: GSMamba, lq: Tensor, gt: Tensor, precision: str, way: str) -> dict[str, Tensor]:
    flows = net.estimate_flows(lq)
    leaves = [flow.detach().requires_grad_() for flow in flows]
    # CUDA graphs take the enhancement, which is called as `forward` calls it
    with _only(way), policy_for('training', precision).autocasting(lq.device):
        output = net.enhance_by_graphs(lq, *leaves)
    to_flows = torch.autograd.grad(charbonnier(output.to(gt.dtype), gt), leaves)
    to_network = torch.autograd.grad(flows, list(net.spynet.parameters()), to_flows)
    return {'flows': torch.stack(to_flows).flatten(), 'network': torch.cat([one.flatten() for one in to_network])}


@contextmanager
def _only(way: str) -> Iterator[None]:
    """Lets the flows get gradients by one way alone."""
    compose, warp = gsm_arch.compose_window_flows, flow_composition.flow_warp

    def composed(*args: Any) -> tuple[Tensor, Tensor]:
        gather, scatter = compose(*args)
        return gather.detach() if way == 'scatter' else gather, scatter.detach() if way == 'gather' else scatter

    def warped(x: Tensor, flow: Tensor, *args: Any) -> Tensor:
        return warp(x, flow.detach() if 'composition' in way else flow, *args)

    with (
        mock.patch.object(gsm_arch, 'compose_window_flows', composed),
        mock.patch.object(flow_composition, 'flow_warp', warped),
    ):
        yield


def _cosine(one: Tensor, other: Tensor) -> float:
    return F.cosine_similarity(one.double(), other.double(), 0).item()
