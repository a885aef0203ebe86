"""Fits a request and its networks into memory, and says how."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, cast

import torch
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.host_memory import held_by_process
from gsm_plugin.inference.video.byte_sizes import show_bytes
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.images import learn_folder
from gsm_plugin.inference.video.manifest import left_settings
from gsm_plugin.inference.video.memory import (
    LEAST_TILE,
    MemoryPlan,
    Place,
    free_on,
    is_measured_by,
    learn_cost,
    measured_on,
    peak_of,
    plan_memory,
)
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.pipeline import MemoryEndedError, Network
from gsm_plugin.inference.video.pipeline_memory import PipelineCost
from gsm_plugin.inference.video.request import Request

# Pixels by which tiles overlap.
_OVERLAP = 50
_LEAST_WINDOW = 2


def fit_memory(
    request: Request, networks: Sequence[Network], say: Callable[[str], None]
) -> tuple[Request, Sequence[Network]]:
    """Makes windows, and where that is not enough tiles, so small that budgets are kept.

    An interrupted run goes on with the windows and tiles that it had, whatever is free now.

    Args:
        request: What is wanted, with its budget; without one, and without `fit`, nothing is changed.
        networks: One a device, alike.
        say: Takes the plan and what was measured.

    Returns:
        The request with its windows and tiles, and the networks with theirs.

    Raises:
        UserError: Memory is too little.
    """
    if request.tile is not None or not (request.fit or request.memory):
        return request, _tiled(networks, request)
    if not request.source.exists():
        raise UserError(f'{request.source} is missing; correct its path.')
    facts = learn_folder(request.source) if request.source.is_dir() else learn(request.source, request.deinterlace)
    size = facts.height, facts.width
    left = {} if request.restart or request.memory else left_settings(request.target)
    wanted = f'{request.window} {request.context}'
    if left.get('wanted') == wanted:
        tile = None if left['tile'] == 'None' else int(left['tile'])
        window, context = int(left['window']), int(left['context'])
        fitted = replace(request, window=window, context=context, wanted=wanted, tile=tile)
        shown = 'whole frames' if tile is None else f'tiles of {tile}x{tile}'
        say(f'memory: windows of {fitted.window} frames, {shown}, as in the run that was interrupted')
        return fitted, _tiled(networks, fitted)
    if request.memory is None and is_measured_by(min(request.window, facts.number_of_frames), *size):
        # To measure the network would take more than the windows do.
        return request, networks
    plan = plan_memory(_places(request, networks, facts), size, request.window, request.context)
    say(plan.describe())
    fitted = replace(request, window=plan.window, wanted=wanted, tile=plan.tile)
    watched = [WatchedNetwork(network, plan, say, request.memory is not None) for network in _tiled(networks, fitted)]
    return fitted, watched


def shrunk(request: Request, facts: Facts) -> Request | None:
    """The same with windows and context of half the length, or where they are at their least with smaller tiles.

    Args:
        request: What did not fit.
        facts: Its input.

    Returns:
        None where nothing can be made smaller.
    """
    wanted = request.wanted or f'{request.window} {request.context}'
    again = replace(request, restart=True, fit=False, memory=None, wanted=wanted)
    window = request.window // 2
    if window >= _LEAST_WINDOW:
        return replace(again, window=window, context=min(request.context, (window - 1) // 4))
    side = request.tile or max(facts.height, facts.width)
    return replace(again, tile=max(LEAST_TILE, side // 2)) if side > LEAST_TILE else None


class WatchedNetwork:
    """A network whose first window is held against the plan.

    Args:
        network: The network, with its tiles.
        plan: The plan.
        say: Takes what was measured.
        strict: Whether a window that takes more than the budget ends the work.
    """

    def __init__(self, network: Network, plan: MemoryPlan, say: Callable[[str], None], strict: bool):
        self.scale, self.device = network.scale, network.device
        self.precision, self.name = network.precision, network.name
        self._network, self._plan, self._say, self._strict, self._is_first = network, plan, say, strict, True

    def with_precision(self, precision: str) -> Network:
        """The network in another precision, not watched."""
        return self._network.with_precision(precision)

    def restore(self, clip: Tensor) -> Tensor:
        """Runs the network.

        Raises:
            MemoryEndedError: The first window takes more than the budget that the user gave.
        """
        if not self._is_first:
            return self._network.restore(clip)
        self._is_first = False
        with peak_of(self.device) as peak:
            output = self._network.restore(clip)
        plan, (_, frames, _, height, width) = self._plan, clip.shape
        taken, budget = show_bytes(peak[0]), show_bytes(plan.budget)
        side = plan.tile or max(height, width)
        predicted = show_bytes(plan.places[0].predict(frames, min(side, height), min(side, width)))
        self._say(f'memory: the first window, of {frames} frames, took {taken} ({predicted} predicted)')
        if self._strict and peak[0] > plan.budget:
            frames = max(1, plan.window * plan.budget // peak[0])
            raise MemoryEndedError(
                f'the first window took {taken}, more than {budget}; windows of {frames} frames would fit: give '
                f'--window {frames}, or --retry-smaller.'
            )
        return output


def _places(request: Request, networks: Sequence[Network], facts: Facts) -> list[Place]:
    """Where memory is taken: by the network on its device, and by all on the host."""
    network = networks[0]
    cost = learn_cost(measured_on(network), network.scale, network.device)
    pipeline = PipelineCost.of(facts, network.scale, request.outscale or network.scale)
    # The peak at the end counts all that the process holds, so this does.
    held, on_host = held_by_process(), torch.device(str(network.device)).type != 'cuda'

    def of_all(frames: int, height: int, width: int) -> int:
        own = cost.predict(frames, height, width) if on_host else 0
        return held + len(networks) * (
            own + pipeline.predict(frames, whole=(height, width) == (facts.height, facts.width))
        )

    budget = min((free_on(one.device) for one in networks), key=lambda pair: pair[0])
    if request.memory is not None:
        budget = request.memory, 'as asked'
    free, why = free_on('cpu')
    return [
        Place(f'network on {network.device}', cost.predict, *budget),
        Place('all on the host', of_all, held + free, f'{why}, and {show_bytes(held)} that are held'),
    ]


class _Tileable(Network, Protocol):
    def with_tile(self, tile: Sequence[int] | None, tile_overlap: Sequence[int]) -> Network:
        """The same network, shown clips in other tiles."""


def _tiled(networks: Sequence[Network], request: Request) -> Sequence[Network]:
    """The networks with the tiles that memory demands, where it does."""
    if request.tile is None:
        return networks
    overlap = min(_OVERLAP, request.tile // 2)
    tile = request.window, request.tile, request.tile
    # nothing but restorers gets here before it is watched
    return [cast(_Tileable, network).with_tile(tile, (0, overlap, overlap)) for network in networks]
