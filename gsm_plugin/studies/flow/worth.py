"""What alignment is worth: PSNR with the flows as they are, with none, and with those of another clip."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.metrics.flow_health import measure_flows
from gsm_plugin.studies.clips import StudyClip, psnr

COLUMNS = (
    'clip',
    'PSNR, own flows',
    'none',
    "another clip's",
    'mean flow, px',
    'photometric error',
    "first SPyNet's",
    'no motion',
)


@torch.no_grad()
def rows_of_worth(net: GSMamba, clips: Sequence[StudyClip], first: nn.Module | None) -> list[list[str]]:
    """A row of `COLUMNS` for each clip.

    Args:
        net: A trained network.
        clips: Two at least, for flows of another one; with one that column is empty.
        first: The flow network as it was before the training; None leaves its column empty.
    """
    net.eval()
    flows = {clip.name: net.estimate_flows(clip.lq) for clip in clips}
    rows = []
    for clip in clips:
        own = flows[clip.name]
        others = [_fit(flow, clip.lq) for name, pair in flows.items() if name != clip.name for flow in pair][:2]
        sets = own, [torch.zeros_like(flow) for flow in own], others
        health = measure_flows(clip.lq, *own)
        assert health is not None
        before = measure_flows(clip.lq, *net.estimate_flows(clip.lq, first)) if first is not None else None
        rows.append(
            [
                clip.name,
                *(f'{psnr(net.enhance(clip.lq, *some), clip.gt):.3f}' if some else '' for some in sets),
                f'{health.mean_length:.3f}',
                f'{health.error:.5f}',
                f'{before.error:.5f}' if before is not None else '',
                f'{health.error_of_no_motion:.5f}',
            ]
        )
    return rows


def _fit(flow: Tensor, lq: Tensor) -> Tensor:
    """Another clip's flow, repeated or cut to the length and size of a clip."""
    wanted = lq.shape[1] - 1, *lq.shape[-2:]
    there = flow.shape[1], *flow.shape[-2:]
    t, y, x = (-(-size // have) for size, have in zip(wanted, there, strict=True))
    return flow.repeat(1, t, 1, y, x)[:, : wanted[0], :, : wanted[1], : wanted[2]]
