"""Fits a request and its networks into a budget of memory, and says how."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from gsm_plugin.compat import UserError
from gsm_plugin.inference.video.images import learn_folder
from gsm_plugin.inference.video.memory import MemoryPlan, learn_cost, measured_on, peak_of, plan_memory, show_bytes
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.pipeline import MemoryEndedError, Network
from gsm_plugin.inference.video.request import Request

# Pixels by which tiles overlap.
_OVERLAP = 50


def fit_memory(
    request: Request, networks: Sequence[Network], say: Callable[[str], None]
) -> tuple[Request, Sequence[Network]]:
    """Makes windows, and where that is not enough tiles, so small that a budget is kept.

    Args:
        request: What is wanted, with its budget; without one nothing is changed.
        networks: One a device, alike.
        say: Takes the plan and what was measured.

    Returns:
        The request with its windows, and the networks with their tiles.

    Raises:
        UserError: The budget is too small.
    """
    if request.memory is None:
        return request, networks
    if not request.source.exists():
        raise UserError(f'{request.source} is missing; correct its path.')
    facts = learn_folder(request.source) if request.source.is_dir() else learn(request.source, request.deinterlace)
    cost = learn_cost(measured_on(networks[0]), networks[0].scale)
    size = facts.height, facts.width
    plan = plan_memory(cost, size, request.window, request.context, request.memory)
    say(plan.describe())
    fitted = replace(request, window=plan.window, network=f'{request.network} memory tile {plan.tile}')
    return fitted, [WatchedNetwork(_tiled(network, plan), plan, say) for network in networks]


class WatchedNetwork:
    """A network whose first window is held against the plan.

    Args:
        network: The network, with its tiles.
        plan: The plan.
        say: Takes what was measured.
    """

    def __init__(self, network: Network, plan: MemoryPlan, say: Callable[[str], None]):
        self.scale, self.device = network.scale, network.device
        self.precision, self.name = network.precision, network.name
        self._network, self._plan, self._say, self._is_first = network, plan, say, True

    def restore(self, clip: Tensor) -> Tensor:
        """Runs the network.

        Raises:
            MemoryEndedError: The first window takes more than the budget.
        """
        if not self._is_first:
            return self._network.restore(clip)
        self._is_first = False
        with peak_of(self.device) as peak:
            output = self._network.restore(clip)
        plan = self._plan
        taken, budget = show_bytes(peak[0]), show_bytes(plan.budget)
        self._say(f'memory: the first window took {taken} ({show_bytes(plan.predicted)} predicted)')
        if peak[0] > plan.budget:
            frames = max(1, plan.window * plan.budget // peak[0])
            raise MemoryEndedError(
                f'the first window took {taken}, more than {budget}; windows of {frames} frames would fit: give '
                f'--window {frames}, or --retry-smaller.'
            )
        return output


def _tiled(network: Network, plan: MemoryPlan) -> Network:
    if plan.tile is None:
        return network
    overlap = min(_OVERLAP, plan.tile // 2)
    return network.with_tile((plan.window, plan.tile, plan.tile), (0, overlap, overlap))
