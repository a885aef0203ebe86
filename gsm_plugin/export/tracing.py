"""From a loaded network to a program of torch.export, in pure PyTorch."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from gsm_plugin.archs.building import build
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.errors import UserError
from gsm_plugin.export.ops import exportable_ops
from gsm_plugin.inference.loading import Loaded

LEAST_OPSET = {'GSMamba': 18, 'BasicVSR': 18, 'BasicVSRPlusPlus': 19}
"""By network that can be exported, the first version of ONNX's operators that has all of its own.

The converter writes 18 and newer; deformable convolution came with 19.
"""
# With open sides: more than a window, and than what the flow network is given by reflection.
_LEAST_OPEN, _MOST_OPEN = 40, 4096


@dataclass(frozen=True)
class Form:
    """What a program takes and gives.

    Attributes:
        frames: Frames of the clip.
        height: Height of a frame; of the example, where sides are open.
        width: Width, likewise.
        is_stacked: Whether frames are stacked as channels, (1, 3 t, h, w), as vs-mlrt feeds them, and not (1, t, 3, h,
            w).
        is_open: Whether a program takes other heights and widths.
    """

    frames: int
    height: int
    width: int
    is_stacked: bool = False
    is_open: bool = False

    def shape(self) -> tuple[int, ...]:
        """The shape of an input."""
        sides = self.height, self.width
        return (1, 3 * self.frames, *sides) if self.is_stacked else (1, self.frames, 3, *sides)


class _Program(nn.Module):
    """Runs a network in one of the forms."""

    def __init__(self, network: nn.Module, run: Callable[[Tensor], Tensor], form: Form) -> None:
        super().__init__()
        self.network, self._run, self._form = network, run, form

    def forward(self, clip: Tensor) -> Tensor:
        if not self._form.is_stacked:
            return self._run(clip)
        return self._run(clip.unflatten(1, (self._form.frames, -1))).flatten(1, 2)


def check_form(loaded: Loaded, form: Form) -> None:
    """Refuses networks and sizes that cannot be exported.

    Raises:
        UserError: The network is not known to be exportable, or frames or sides are too few.
    """
    kind = loaded.options['type']
    if kind not in LEAST_OPSET:
        raise UserError(f'{kind} cannot be exported; {", ".join(LEAST_OPSET)} can.')
    least_side, least_frames = loaded.handling.smallest_side, loaded.handling.least_frames
    if form.frames < least_frames:
        raise UserError(f'--frames is {form.frames}; {kind} needs {least_frames} or more.')
    if min(form.height, form.width) < least_side:
        raise UserError(f'--size is {form.height}x{form.width}; {kind} needs sides of {least_side} or more.')


def trace(loaded: Loaded, form: Form) -> ExportedProgram:
    """Traces a network.

    Args:
        loaded: The network, on the CPU.
        form: What the program is to take.

    Raises:
        UserError: With open sides, the network needs fixed ones.
    """
    program = _Program(*_plain(loaded), form).eval().requires_grad_(False)
    example = torch.zeros(form.shape())
    open_sides = None
    if form.is_open:
        multiple, least = multiple_of(loaded), max(_LEAST_OPEN, loaded.handling.smallest_side)
        bounds = {'min': -(-least // multiple), 'max': _MOST_OPEN // multiple}
        sides = (multiple * Dim(name, **bounds) for name in ('height', 'width'))
        open_sides = {'clip': dict(zip((example.ndim - 2, example.ndim - 1), sides, strict=True))}
    # layers compute as the textbook has it where gradients are on; no parameter wants one
    with torch.enable_grad(), exportable_ops(), _without_autocast():
        return torch.export.export(program, (example,), dynamic_shapes=open_sides, strict=False)


def multiple_of(loaded: Loaded) -> int:
    """What open sides of GSM are multiples of: windows of the attention, or PyTorch cannot tell how many there are."""
    return math.lcm(*loaded.options.get('window_size', (1, 1))[1:])


def _plain(loaded: Loaded) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """A network that computes nothing again in a backward pass and asks nothing of its input, and its function."""
    if loaded.options['type'] == 'BasicVSRPlusPlus':
        network = copy.deepcopy(loaded.network)
        # it would compare the frames, to spare half of the flows of a clip that is followed by its reverse
        vars(network)['check_if_mirror_extended'] = lambda lqs: None
        return network, network
    if loaded.options['type'] != 'GSMamba':
        return loaded.network, loaded.network
    plain = {'use_checkpoint_attn': False, 'use_checkpoint_ffn': False, 'cuda_graphs': False}
    network = build({**loaded.options, **plain})
    assert isinstance(network, GSMamba)
    network.load_state_dict(loaded.network.state_dict())
    return network, network.restore


class _NoAutocast(torch.autocast):
    """A context that does nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def _without_autocast() -> Iterator[None]:
    """A trace would hold every place where layers turn autocast off, which is off, and files cannot hold that."""
    with patch.object(torch, 'autocast', _NoAutocast):
        yield


def largest_difference(actual: Tensor, expected: Tensor) -> float:
    """Of any value; infinite where one is not finite, or shapes differ."""
    if actual.shape != expected.shape:
        return math.inf
    difference = (actual - expected).abs().max().item()
    return difference if math.isfinite(difference) else math.inf
