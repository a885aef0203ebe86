"""The engine: a network with its weights, on a device, in a precision, for clips of any size, length and kind."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.inference.clips import Clip, as_network_takes_it, join_frames
from gsm_plugin.inference.devices import choose_device, choose_precision
from gsm_plugin.inference.handling import TILE_OVERLAP, Handling
from gsm_plugin.inference.streaming import check_window, restore_in_windows
from gsm_plugin.inference.tiling import check_tile, run_tiled
from gsm_plugin.layers.precision import HALF, policy_for
from gsm_plugin.weights.doors import PYTHON, Door

CONTEXT = 8
"""Frames that a window of a stream sees beyond those that are taken, on each side."""
_logger = logging.getLogger('basicsr.gsm_plugin')


class Restorer:
    """Restores clips by a network.

    Args:
        network: Takes (b, t, c, h, w) and gives (b, t, c, h * scale, w * scale); on the device, a module in evaluation
            mode.
        scale: Its enlargement.
        handling: How it is shown clips.
        device: Where it is; None for the CPU.
        precision: See `choose_precision`.
        name: What it is called; its class where nothing is given.
        facts: Sentences about it for `describe`.
        plain_autocast: Whether GSM and VRT follow PyTorch's autocast alone, as other networks do, in bf16 or fp16.

    Attributes:
        network: The network.
        scale: Its enlargement.
        handling: How it is shown clips.
        device: Where it is.
        precision: fp32, tf32, bf16 or fp16.
        policy: What it stands for, see `gsm_plugin.layers.precision`.
        name: What it is called.

    Raises:
        UserError: The device cannot compute in the precision, there is no autocast in it, or tiles cannot cover a clip.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        scale: int,
        handling: Handling | None = None,
        device: torch.device | None = None,
        precision: str = 'fp32',
        name: str = '',
        facts: Sequence[str] = (),
        plain_autocast: bool = False,
    ):
        self.network, self.scale = network, scale
        self.handling = Handling() if handling is None else handling
        self.device = torch.device('cpu') if device is None else device
        self.precision, self._why = choose_precision(precision, self.device)
        self.policy = policy_for('inference', self.precision, plain_autocast)
        self.name = name or type(network).__name__
        self._facts = tuple(facts)
        if self.handling.tile is not None:
            check_tile(self.handling.tile, self.handling.tile_overlap, self.handling.tile_rule)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path | None,
        device: str | torch.device = 'auto',
        precision: str = 'auto',
        network: Mapping[str, object] | None = None,
        tile: Sequence[int] | None = None,
        tile_overlap: Sequence[int] = TILE_OVERLAP,
        tile_rule: str = 'blended',
        self_ensemble: bool = False,
        folder: str | Path | None = None,
        plain_autocast: bool = False,
        cuda_graphs: bool = True,
        door: Door = PYTHON,
    ) -> 'Restorer':
        """Makes a restorer from a file of weights, which tells network and sizes.

        Args:
            name_or_path: A file, or a name of `basicsr weights list`; None for a network without weights.
            device: auto, cpu, cuda, cuda:1, mps, or a device.
            precision: auto (the fastest one of the device), fp32, tf32, bf16 or fp16.
            network: Arguments of the network that the file cannot tell, such as `pa_frame`, or that are to differ; with
                `type`, any network of BasicSR's registry.
            tile: Frames, rows and columns of a tile in LQ pixels; None takes clips whole.
            tile_overlap: By how many of each tiles overlap.
            tile_rule: How tiles are joined: blended, or published (that of the testers of VRT and GSM).
            self_ensemble: Whether outputs for eight flips and rotations are averaged.
            folder: Where the files of names lie; None for experiments/pretrained_models.
            plain_autocast: Whether GSM and VRT follow PyTorch's autocast alone, in bf16 or fp16; slower.
            cuda_graphs: Whether a GPU captures GSM at the second of two equal clips: faster where frames are few and
                small, but the capture holds as much memory as a call takes.
            door: How `network` was named, for messages.

        Raises:
            UserError: There is no such file, name, device or precision, the weights are of no known network, they do
                not fit, or an argument is of another kind.
        """
        # BasicSR and all its networks
        from gsm_plugin.inference.loading import load_network

        _check_kinds(name_or_path, folder, network)
        _check_switches(self_ensemble=self_ensemble, plain_autocast=plain_autocast, cuda_graphs=cuda_graphs)
        place = choose_device(device)
        # refused before a file is read
        policy_for('inference', choose_precision(precision, place)[0], plain_autocast)
        if tile is not None:
            check_tile(tile, tile_overlap, tile_rule)
        loaded = load_network(name_or_path, network or {}, place, folder, door, cuda_graphs)
        handling = replace(
            loaded.handling, self_ensemble=self_ensemble, tile=tile, tile_overlap=tile_overlap, tile_rule=tile_rule
        )
        made = cls(loaded.network, loaded.scale, handling, place, precision, loaded.name, loaded.facts, plain_autocast)
        _logger.info(f'{made.name} on {place}: precision {made.precision} ({made._why}).')
        return made

    @property
    def frames_at_once(self) -> int:
        """How many frames of a film it is best shown at once, where memory allows."""
        return self.handling.frames_at_once

    @property
    def frames_with_room(self) -> int:
        """The same where memory is planned, so that a GPU may be shown more."""
        return self.handling.frames_with_room if self.device.type == 'cuda' else self.frames_at_once

    def with_tile(
        self, tile: Sequence[int] | None, tile_overlap: Sequence[int] = TILE_OVERLAP, tile_rule: str = 'blended'
    ) -> 'Restorer':
        """The same network, shown clips in other tiles, or whole."""
        handling = replace(self.handling, tile=tile, tile_overlap=tile_overlap, tile_rule=tile_rule)
        return self._with(handling, self.precision)

    def with_precision(self, precision: str) -> 'Restorer':
        """The same network in another precision; by plain autocast where it is so here and there is one."""
        return self._with(self.handling, precision)

    def __call__(self, clip: Clip, on_tile: Callable[[int, int], None] | None = None) -> Clip:
        """Restores a clip.

        Args:
            clip: A tensor (t, c, h, w) or (b, t, c, h, w), or an array (t, h, w, c) or (b, t, h, w, c); RGB, floats in
                [0, 1] or uint8; on any device.
            on_tile: Called after each tile with the number of tiles done and of all.

        Returns:
            The same kind: axes, type and device are those of the clip. Floats may overshoot [0, 1] a little.

        Raises:
            UserError: The clip is none, is empty, or has values that no picture has.
        """
        taken, back = as_network_takes_it(clip, self.device)
        return back(self.restore(taken, on_tile))

    def restore(self, clip: Tensor, on_tile: Callable[[int, int], None] | None = None) -> Tensor:
        """Restores a clip that needs no checks.

        Args:
            clip: (b, t, c, h, w), float32, on any device.
            on_tile: See `__call__`.

        Returns:
            (b, t, c, h * scale, w * scale), float32; on the CPU where it was put together from tiles, else on the
            device of the network.
        """
        run = self.handling.around(self._run, self.scale)
        with torch.no_grad():
            if self.handling.tile is None:
                return run(clip)
            tiles = self.handling.tile, self.handling.tile_overlap
            return run_tiled(run, clip, *tiles, self.scale, on_tile, self.handling.tile_rule)

    def stream(self, frames: Iterable[Clip], window: int | None = None, context: int = CONTEXT) -> Iterator[Clip]:
        """Restores frames as they come, in windows that overlap; memory does not grow with their number.

        Args:
            frames: Tensors (c, h, w) or arrays (h, w, c), of one size; as in `__call__`. They are taken for one scene.
            window: Frames that the network sees at once; None for what suits it, 96 for GSM and 32 for others.
            context: Frames at each end of a window that are seen, but taken from the window before or after.

        Yields:
            Each frame, restored, of its kind, in order.

        Raises:
            UserError: See `__call__`, and where a frame differs from those before it, windows are too short, or frames
                cannot be taken one after the other.
        """
        if not isinstance(frames, Iterable):
            raise UserError(f'stream takes frames one after the other, not {frames!r}; give a list or an iterator.')
        window = self.frames_at_once if window is None else window
        check_window(window, context)
        return restore_in_windows(lambda held: list(self(join_frames(held))), frames, window, context)

    def describe(self) -> str:
        """What runs, where, in which precision, how clips are shown to it, and why; a line each."""
        kind = type(self.network).__name__
        lines = [f'{self.name}: {kind}, x{self.scale}', *self._facts]
        lines.append(f'device: {self.device}; precision: {self.precision} ({self._why})')
        lines += [f'clips: {sentence}' for sentence in self.handling.sentences()]
        return '\n'.join(lines)

    def _with(self, handling: Handling, precision: str) -> 'Restorer':
        plain = self.policy.is_plain and precision in HALF
        return Restorer(self.network, self.scale, handling, self.device, precision, self.name, self._facts, plain)

    def _run(self, clip: Tensor) -> Tensor:
        with self.policy.running(self.device):
            output = self.network(clip.to(self.device))
        if not isinstance(output, Tensor):
            raise UserError(f'{self.name} gave a {type(output).__name__} instead of a clip; make it return one tensor.')
        return output.to(self.policy.output)


def _check_kinds(name_or_path: object, folder: object, network: object) -> None:
    for key, given, kinds in (
        ('name_or_path', name_or_path, 'a path, a name of basicsr weights list, or None'),
        ('folder', folder, 'a path, or None'),
    ):
        if given is not None and not isinstance(given, str | PathLike):
            raise UserError(f'{key} is {given!r}; give {kinds}.')
    if network is not None and not isinstance(network, Mapping):
        raise UserError(f"network is {network!r}; give its arguments by name, such as {{'type': 'Bicubic'}}.")


def _check_switches(**given: object) -> None:
    for name, value in given.items():
        if not isinstance(value, bool):
            raise UserError(f'{name} is {value!r}; give True or False.')
