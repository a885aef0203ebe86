"""Fits a request and its networks into memory, and says how."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, cast

import torch
from torch import Tensor

from gsm_plugin.host_memory import held_by_process
from gsm_plugin.inference.handling import Handling
from gsm_plugin.inference.video.byte_sizes import show_bytes
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.manifest import left_settings
from gsm_plugin.inference.video.memory import (
    LEAST_TILE,
    TILE_STEP,
    Measure,
    MemoryPlan,
    Place,
    TimedMeasure,
    free_on,
    is_measured_by,
    learn_cost,
    measured_on,
    overlap_of_tiles,
    peak_of,
    plan_memory,
    seen_in_tiles,
    with_output,
)
from gsm_plugin.inference.video.pipeline import MemoryEndedError, Network
from gsm_plugin.inference.video.pipeline_memory import PipelineCost
from gsm_plugin.inference.video.request import Request

_LEAST_WINDOW = 2


class Memory:
    """Fits a request and its networks into memory.

    Args:
        request: What is wanted, with its budget; without one, and without `fit`, nothing is changed.
        networks: One a device, alike.
        say: Takes what is done, the plan and what was measured.

    Attributes:
        seconds_a_frame: What all devices together take for a frame, as the largest clip suggests that was measured;
            None where none was.
    """

    def __init__(self, request: Request, networks: Sequence[Network], say: Callable[[str], None]):
        self._request, self._networks, self._say = request, networks, say
        self._places: tuple[Place, ...] = ()
        self.seconds_a_frame: float | None = None

    @contextmanager
    def measuring(self, facts: Facts) -> Iterator[None]:
        """Measures what the network takes before the block, which reads the input, or on a GPU beside it.

        Args:
            facts: The input.

        Raises:
            UserError: Memory is too little, even for the smallest windows and tiles.
        """
        frames = min(facts.number_of_frames, self._request.seconds * float(facts.rate))
        if torch.device(str(self._networks[0].device)).type != 'cuda':
            self._measure(facts, frames)
            yield
            return
        # most of the time kernels are loaded
        with ThreadPoolExecutor(1) as pool:
            measured = pool.submit(self._measure, facts, frames)
            yield
            measured.result()

    def fit(self, facts: Facts, longest: int) -> tuple[Request, Sequence[Network]]:
        """Makes windows, and where that is not enough tiles, so small that budgets are kept.

        No window is planned longer than the longest scene. An interrupted run goes on with the windows and tiles that
        it had, whatever is free now.

        Args:
            facts: The input.
            longest: Frames of the longest scene.

        Returns:
            The request with its windows and tiles, and the networks with theirs.

        Raises:
            UserError: Memory is too little.
        """
        request = self._request
        if left := _left(request):
            return self._as_before(left)
        if not self._places:
            self._measure(facts, longest)
        if not self._places:
            return request, _tiled(self._networks, request)
        window = min(request.window, longest)
        own = _own_tile(self._networks[0])
        plan = plan_memory(self._places, (facts.height, facts.width), window, request.context, own)
        self._say(plan.describe())
        if plan.tile is not None and self.seconds_a_frame is not None:
            shared = overlap_of_tiles(plan.tile) if own is None else _own_overlap(self._networks[0])
            size = facts.height, facts.width
            self.seconds_a_frame *= seen_in_tiles((plan.tile, plan.tile), (shared, shared), size)
        tile = plan.tile if own is None else None
        fitted = replace(request, window=plan.window, wanted=_wanted(request), tile=tile)
        strict = request.memory is not None
        return fitted, [WatchedNetwork(network, plan, self._say, strict) for network in _tiled(self._networks, fitted)]

    def _measure(self, facts: Facts, frames: float) -> None:
        request = self._request
        window, size = max(1, math.ceil(min(request.window, frames))), (facts.height, facts.width)
        if request.tile is not None or not (request.fit or request.memory) or _left(request):
            return
        if request.memory is None and is_measured_by(window, *size):
            # To measure the network would take more than the windows do.
            return
        device = self._networks[0].device
        where, long = ('a CPU', 'up to a minute') if device.type == 'cpu' else ('a GPU', 'a minute or two')
        first = f'the first run on {where} also compiles kernels, for {long}'
        self._say(f'memory: measuring what the network takes, on small clips; {first}')
        measure = TimedMeasure(measured_on(_without_tiles(self._networks[0])))
        self._places = tuple(_places(request, self._networks, facts, measure))
        self.seconds_a_frame = measure.seconds_a_pixel * facts.height * facts.width / len(self._networks)
        # which refuses
        plan_memory(self._places, size, window, request.context, _own_tile(self._networks[0]))

    def _as_before(self, left: Mapping[str, str]) -> tuple[Request, Sequence[Network]]:
        tile = None if left['tile'] == 'None' else int(left['tile'])
        window, context = int(left['window']), int(left['context'])
        fitted = replace(self._request, window=window, context=context, wanted=_wanted(self._request), tile=tile)
        side = tile or _own_tile(self._networks[0])
        shown = 'whole frames' if side is None else f'tiles of {side}x{side}'
        self._say(f'memory: windows of {window} frames, {shown}, as in the run that was interrupted')
        return fitted, _tiled(self._networks, fitted)


def _wanted(request: Request) -> str:
    return f'{request.window} {request.context}'


def _left(request: Request) -> dict[str, str]:
    """The settings of an interrupted run of the request that was planned and can go on; empty where there is none."""
    if request.tile is not None or not request.fit or request.restart or request.memory:
        return {}
    left = left_settings(request.target)
    return left if left.get('wanted') == _wanted(request) else {}


def shrunk(request: Request, facts: Facts, network: Network) -> Request | None:
    """The same with windows and context of half the length, or where they are at their least with smaller tiles.

    Args:
        request: What did not fit.
        facts: Its input.
        network: What it was shown to, maybe in tiles of its own.

    Returns:
        None where nothing can be made smaller.
    """
    wanted = request.wanted or _wanted(request)
    again = replace(request, restart=True, fit=False, memory=None, wanted=wanted)
    window = request.window // 2
    if window >= _LEAST_WINDOW:
        return replace(again, window=window, context=min(request.context, (window - 1) // 4))
    side = request.tile or _own_tile(network) or max(facts.height, facts.width)
    return replace(again, tile=max(LEAST_TILE, side // 2 // TILE_STEP * TILE_STEP)) if side > LEAST_TILE else None


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
        self.network = getattr(network, 'network', None)
        self.precision, self.name = network.precision, network.name
        self.handling = getattr(network, 'handling', None)
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
        # what tiles are joined into is on the host, whose own plan it is in
        joined = output.nbytes if plan.tile is not None and output.device == self.device else 0
        most = peak[0] - joined
        taken, budget = show_bytes(most), show_bytes(plan.budget)
        side = plan.tile or max(height, width)
        predicted = show_bytes(plan.places[0].predict(frames, min(side, height), min(side, width)))
        self._say(f'memory: the first window, of {frames} frames, took {taken} ({predicted} predicted)')
        if self._strict and most > plan.budget:
            frames = max(1, plan.window * plan.budget // most)
            raise MemoryEndedError(
                f'the first window took {taken}, more than {budget}; windows of {frames} frames would fit: give '
                f'--window {frames}, or --retry-smaller.'
            )
        return output


def _places(request: Request, networks: Sequence[Network], facts: Facts, measure: Measure) -> list[Place]:
    """Where memory is taken: by the network on its device, and by all on the host."""
    network = networks[0]
    cost, size = learn_cost(measure, network.device), (facts.height, facts.width)
    pipeline = PipelineCost.of(facts, network.scale, request.outscale or network.scale, request.makes_film)
    # The peak at the end counts all that the process holds, so this does.
    held, on_host = held_by_process(), torch.device(str(network.device)).type != 'cuda'

    def of_all(frames: int, height: int, width: int) -> int:
        own = cost.predict(frames, height, width) if on_host else None
        return held + len(networks) * pipeline.predict(frames, (height, width) == size, own)

    of_network = cost.predict if on_host else with_output(cost, network.scale, size)
    budget = min((free_on(one.device) for one in networks), key=lambda pair: pair[0])
    if request.memory is not None:
        budget = request.memory, 'as asked'
    free, why = free_on('cpu')
    return [
        Place(f'network on {network.device}', of_network, *budget, asked=request.memory is not None),
        Place('all on the host', of_all, held + free, f'{why}, and {show_bytes(held)} that are held'),
    ]


def _own_tile(network: Network) -> int | None:
    """Side of the tiles that a network has; None for whole frames, and for what is no restorer."""
    handling: Handling | None = getattr(network, 'handling', None)
    return None if handling is None or handling.tile is None else max(handling.tile[1:])


def _own_overlap(network: Network) -> int:
    """By how many pixels the tiles overlap that a network has."""
    return max(cast(Handling, getattr(network, 'handling', None)).tile_overlap[1:])


class _Tileable(Network, Protocol):
    def with_tile(self, tile: Sequence[int] | None, tile_overlap: Sequence[int] = ...) -> Network:
        """The same network, shown clips in other tiles, or whole."""


def _without_tiles(network: Network) -> Network:
    """The network as it sees a tile: in tiles of its own, small clips are measured many times over."""
    return network if _own_tile(network) is None else cast(_Tileable, network).with_tile(None)


def _tiled(networks: Sequence[Network], request: Request) -> Sequence[Network]:
    """The networks with the tiles that memory demands, where it does."""
    if request.tile is None:
        return networks
    overlap = overlap_of_tiles(request.tile)
    tile = request.window, request.tile, request.tile
    # nothing but restorers gets here before it is watched
    return [cast(_Tileable, network).with_tile(tile, (0, overlap, overlap)) for network in networks]
