"""How the flow network of a recurrent model is trained: not too early, and only while its flows stay good."""

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, distributed, nn

from gsm_plugin.errors import UserError
from gsm_plugin.metrics.flow_health import FlowHealth, measure_flows, photometric_error

FLOW_NETWORK = 'spynet'

# Iterations between two comparisons with the flow network as it was at first.
_CHECK_EVERY = 50
# What an earlier comparison still counts at the next one.
_MEMORY = 0.5
_CURE = 'Leave train: flow_lr_mul and fix_flow out to keep a loaded flow network, or train it slower or later'


@runtime_checkable
class FlowEstimator(Protocol):
    """A network that tells its flows.

    Attributes:
        flow_observer: Called in each forward pass with the clip and its flows backward and forward.
    """

    flow_observer: Callable[[Tensor, Tensor, Tensor], None] | None

    def estimate_flows(self, clip: Tensor, flow_network: nn.Module | None = None) -> tuple[Tensor, Tensor]:
        """The flows of a clip backward and forward, by its own flow network or another one."""


class FlowReference(nn.Module):
    """The flow network as it was before training, and what became of the comparisons with it.

    It is a module so that training states carry it.

    Args:
        flow_network: What is copied.
    """

    held_at: Tensor
    errors: Tensor

    def __init__(self, flow_network: nn.Module):
        super().__init__()
        self.flow_network = copy.deepcopy(flow_network).requires_grad_(False).eval()
        # -1 while the flow network may be trained
        self.register_buffer('held_at', torch.tensor(-1))
        # sums of the photometric errors of its flows now and of those at first
        self.register_buffer('errors', torch.zeros(2, dtype=torch.float64))


class FlowTraining:
    """Lets a flow network be trained from an iteration on, and puts it back where that makes its flows worse.

    Before that iteration its gradients are dropped; the graph is the same before and after, so DistributedDataParallel
    and gradient checkpointing see no change. What happens depends on the iteration and on `reference` alone, which is
    saved, so a resumed run goes on as it should. Parameters without gradient are passed over by every optimiser.

    The gradient that a flow network gets from Gather-Scatter Mamba holds within about a hundredth of a pixel
    (docs/training.md), so that following it may ruin the flows while the loss goes down. So the photometric error of
    its flows is compared with that of the flow network at first, every so many iterations.

    Args:
        network: The network, not wrapped, whose flow parameters have `spynet` in their names.
        until: First iteration, counted from 1, in which the flow network is trained; 0 for the first of all.
        limit: Flows longer than this many times the longer side of the frame are no motion.
        tolerance: By what share of the reference's error the flows may be worse; None for no comparison.
        reference: The flow network at first; None for no comparison.

    Attributes:
        parameters: Those of the flow network that are trained.

    Raises:
        UserError: There is something to hold, but the network has no such parameters, or they are frozen.
    """

    def __init__(
        self, network: nn.Module, until: int, limit: float, tolerance: float | None, reference: FlowReference | None
    ):
        self._until, self._limit = until, limit
        self._tolerance, self._reference = tolerance, reference
        flow = [value for name, value in network.named_parameters() if FLOW_NETWORK in name]
        self.parameters = [value for value in flow if value.requires_grad]
        self._was_early, self._has_warned = False, False
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None
        if until and flow and not self.parameters:
            raise UserError(
                f'train: fix_flow is {until}, but train: freeze holds {FLOW_NETWORK} for good; take one out.'
            )
        if until and not flow:
            raise UserError(
                f'train: fix_flow is {until}, but no parameter of network_g has {FLOW_NETWORK} in its name; '
                f'take fix_flow out.'
            )
        self._estimator = network if isinstance(network, FlowEstimator) else None
        if self._estimator is not None:
            self._estimator.flow_observer = self._observe

    def hold(self, current_iter: int) -> None:
        """Drops the flow network's gradients if it is not to be trained; to be called after each backward pass.

        Args:
            current_iter: The iteration, counted from 1.
        """
        early = current_iter < self._until
        if early != self._was_early:
            news = f'is fixed before iteration {self._until}' if early else f'is trained from iteration {current_iter}'
            get_root_logger().info(f'The flow network {news}.')
        self._was_early = early
        if early or self.is_held:
            for parameter in self.parameters:
                parameter.grad = None

    @property
    def is_held(self) -> bool:
        """Whether it was put back, and is not trained any more."""
        return self._reference is not None and bool(self._reference.held_at >= 0)

    def is_freed_after(self, current_iter: int) -> bool:
        """Whether the next iteration is the first one that trains the flow network."""
        return bool(self.parameters) and current_iter + 1 == self._until

    def flows_are_possible(self) -> Tensor | bool:
        """Whether the flows of the last forward pass may be those of a motion."""
        if self._seen is None:
            return True
        clip, flows_backward, flows_forward = self._seen
        if not flows_backward.numel():
            return True
        longest = torch.maximum(flows_backward.abs().amax(), flows_forward.abs().amax())
        # what is no number is not below anything
        return longest <= self._limit * max(clip.shape[-2:])

    def health(self) -> FlowHealth | None:
        """Measures the flows of the last forward pass; None where there are none."""
        return None if self._seen is None else measure_flows(*self._seen)

    @torch.no_grad()
    def check(self, current_iter: int, at_once: bool = False) -> bool:
        """Compares the flows with those of the flow network at first, where that is due.

        Args:
            current_iter: The iteration, counted from 1.
            at_once: Whether it is due in any case.

        Returns:
            Whether the flow network has to be put back, in all processes.
        """
        reference, tolerance = self._reference, self._tolerance
        if reference is None or tolerance is None or self._estimator is None or self._seen is None:
            return False
        if self.is_held or current_iter < self._until or not (at_once or current_iter % _CHECK_EVERY == 0):
            return False
        clip = self._seen[0]
        if clip.shape[1] < 2:
            return False
        now = self._estimator.estimate_flows(clip)
        at_first = self._estimator.estimate_flows(clip, reference.flow_network)
        errors = torch.stack([photometric_error(clip, *flows) for flows in (now, at_first)]).double()
        # the largest error that there can be, which leaves the sums numbers
        errors = errors.nan_to_num(1.0, 1.0).to(reference.errors.device)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(errors)
        sums = reference.errors.mul_(_MEMORY).add_(errors)
        found, wanted = sums.tolist()
        if found <= (1 + tolerance) * wanted:
            return False
        worse = f'{found / wanted - 1:.1%}' if wanted else 'infinitely'
        get_root_logger().warning(
            f'Iteration {current_iter}: training has made the flow network worse: frames warped by its flows are '
            f'{worse} further from their neighbours than with the weights it began with (train: flow_tolerance is '
            f'{tolerance}). It gets those weights back and keeps them from here on. {_CURE}; see '
            f'docs/training.md.'
        )
        return True

    @torch.no_grad()
    def put_back(self, current_iter: int, optimizer: torch.optim.Optimizer, *networks: nn.Module) -> None:
        """Gives the flow network the weights it began with, for good.

        Args:
            current_iter: The iteration.
            optimizer: Forgets what it has gathered of the flow network.
            networks: All networks that have it, such as the averaged one.
        """
        assert self._reference is not None
        wanted = self._reference.flow_network.state_dict()
        for network in networks:
            network.get_submodule(FLOW_NETWORK).load_state_dict(wanted)
        for parameter in self.parameters:
            optimizer.state.pop(parameter, None)
        self._reference.held_at.fill_(current_iter)

    def warn_of_flows_worse_than_none(self, health: FlowHealth, where: str) -> None:
        """Says once that the frames agree better without the flows.

        Args:
            health: The measures.
            where: Words for where they were measured.
        """
        if self._has_warned or not health.is_worse_than_no_motion:
            return
        self._has_warned = True
        get_root_logger().warning(
            f'The flows are worse than none {where}: warped by them, frames differ from their neighbours by '
            f'{health.error:.4f}, as they are by {health.error_of_no_motion:.4f} (mean flow {health.mean_length:.3g} '
            f'pixels). The network can align nothing with them. {_CURE}; give a trained one by network_g: spynet_path.'
        )

    def _observe(self, clip: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> None:
        self._seen = clip.detach(), flows_backward.detach(), flows_forward.detach()


@contextmanager
def without_flow_rate(logger: logging.Logger) -> Iterator[None]:
    """Keeps BasicSR's line on the flow network's learning rate out of the log, where none of it is trained."""

    def keep(record: logging.LogRecord) -> bool:
        return 'learning rate for flow network' not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def can_estimate_flows(network: nn.Module) -> bool:
    """Whether a network tells its flows, as GSMamba does."""
    return isinstance(network, FlowEstimator)


def estimated_flows(network: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """The flows of a clip backward and forward, of a network that `can_estimate_flows`."""
    assert isinstance(network, FlowEstimator)
    return network.estimate_flows(clip)


def numbers_of(health: FlowHealth) -> dict[str, float]:
    """Measures of flows by the names that they have in logs."""
    numbers = {
        'flow_mean': health.mean_length,
        'flow_max': health.max_length,
        'flow_error': health.error,
        'flow_error_still': health.error_of_no_motion,
    }
    return {name: value if math.isfinite(value) else math.inf for name, value in numbers.items()}
