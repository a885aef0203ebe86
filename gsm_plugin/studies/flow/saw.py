"""The loss over a constant shift of all flows: what its derivative says, and what it does at the borders of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gsm_plugin.metrics.flow_health import measure_flows
from gsm_plugin.studies.clips import StudyClip, charbonnier
from gsm_plugin.studies.flow.subject import Subject, unit_shift

PIXELS = 3


@dataclass(frozen=True)
class Saw:
    """Loss, its derivative by the gradient, and the photometric error of the flows, at each shift along x.

    Attributes:
        clip: Name of the clip.
        steps: Shifts a pixel.
        shifts: Pixels.
        loss: Charbonnier loss.
        derivative: Of the loss, a pixel.
        error: Photometric error.
    """

    clip: str
    steps: int
    shifts: np.ndarray
    loss: np.ndarray
    derivative: np.ndarray
    error: np.ndarray

    @property
    def slope(self) -> np.ndarray:
        """Of the loss itself, between neighbouring shifts, a pixel."""
        return np.diff(self.loss) * self.steps

    def describe(self) -> str:
        """Losses at whole pixels, and the mean slopes by both."""
        at = ', '.join(f'{self.loss[pixel * self.steps]:.5f} at {pixel}' for pixel in range(PIXELS + 1))
        lines = [f'{self.clip}: loss {at} pixels']
        for title, slopes in (('loss', self.slope), ('gradient', self.derivative[:-1])):
            each = ', '.join(f'{value:+.1e}' for value in slopes.reshape(PIXELS, -1).mean(1))
            lines.append(f'  mean slope by the {title} {slopes.mean():+.2e}; of each pixel {each}')
        return '\n'.join(lines)


def measure_saw(subject: Subject, clip: StudyClip, steps: int) -> Saw:
    """Shifts the flows of a clip by 0 to 3 pixels.

    Args:
        subject: The network.
        clip: The clip, small enough for a backward pass.
        steps: Shifts a pixel.
    """
    net = subject.network()
    with torch.no_grad():
        flows = torch.stack(net.estimate_flows(clip.lq))
    direction, rows = unit_shift(flows[0], 0), []
    shifts = np.arange(PIXELS * steps + 1) / steps
    for shift in shifts.tolist():
        shifted = (flows + shift * direction).detach().requires_grad_()
        loss = charbonnier(net.enhance(clip.lq, *shifted), clip.gt)
        (gradient,) = torch.autograd.grad(loss, shifted)
        health = measure_flows(clip.lq, *shifted.detach())
        assert health is not None
        rows.append((loss.item(), (gradient * direction).sum().item(), health.error))
    return Saw(clip.name, steps, shifts, *np.array(rows).T)


def draw_saws(saws: Sequence[Saw], path: Path) -> None:
    """Draws a row of three panels for each clip into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure((10, 3.2 * len(saws)), layout='constrained')
    for row, saw in zip(figure.subplots(len(saws), 3, squeeze=False), saws, strict=True):
        panels = {'loss': saw.loss, 'its derivative': saw.derivative, 'photometric error': saw.error}
        for axis, (title, values) in zip(row, panels.items(), strict=True):
            axis.plot(saw.shifts, values, marker='.', markersize=2)
            axis.set_title(f'{saw.clip}: {title}', fontsize=9)
        row[1].plot(saw.shifts[1:] - 0.5 / saw.steps, saw.slope)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
