"""Optimizer steps that keep out of the weights what would ruin them."""

import math
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Mapping

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, distributed, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from gsm_plugin.models.flow_training import FLOW_NETWORK

STATE_KEY = 'gsm_guarded_step'

NOT_FINITE = 'loss or gradient is not finite'
FAR_TOO_LARGE = 'the gradient is far above its median'
NO_MOTION = 'a flow is longer than any motion'

# The usual gradient is the median of so many norms, once there are as many as the second number.
_NORMS, _FEWEST_NORMS = 100, 50


class TrainingDiverged(RuntimeError):
    """Too many steps in a row were bad. The weights are those of the last good step.

    The text is one sentence with the number of steps, what was wrong with them, and cures.
    """


class GuardedStep:
    """Backward passes and steps of one optimizer, skipped where they would ruin the weights.

    A step is skipped where a loss or the gradient is not finite, where a gradient is far above its running median, or
    where the caller says so. It leaves weights and optimizer as they were. Processes of a distributed training skip
    alike. The flow network's gradient is clipped on its own, so that it cannot silence the others.

    Counters, norms and the scaler travel inside the optimizer's state dict, so they are in BasicSR's training states;
    states without them can be loaded too, and BasicSR loads states with them.

    Args:
        optimizer: The optimizer.
        scaler: Scales the loss for fp16; may be disabled.
        network: What is trained, not wrapped.
        clip_norm: The norms of the flow network's gradient and of the rest are clipped to this; None for no clipping.
        gradient_limit: A norm above so many times its median over the last 100 steps is far too large; None for none.
        max_skipped: Skipped steps in a row, at which training ends.

    Attributes:
        skipped: Number of steps skipped since the training began, by kind.
        skipped_in_a_row: Number of steps skipped since the last one that was taken.
        norms: Norms of the gradient of the flow network and of the rest before clipping, at the step just taken or
            skipped; empty between steps.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        network: nn.Module,
        clip_norm: float | None,
        gradient_limit: float | None,
        max_skipped: int,
    ):
        self.skipped: Counter[str] = Counter()
        self.skipped_in_a_row = 0
        self.norms: dict[str, float] = {}
        self._optimizer = optimizer
        self._scaler = scaler
        self._network = network
        trained = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
        self._groups = {
            'flow network': [value for name, value in trained if FLOW_NETWORK in name],
            'rest': [value for name, value in trained if FLOW_NETWORK not in name],
        }
        self._clip_norm = float('inf') if clip_norm is None else clip_norm
        self._gradient_limit = gradient_limit
        self._max_skipped = max_skipped
        self._history: dict[str, deque[float]] = {group: deque(maxlen=_NORMS) for group in self._groups}
        self._losses_are_finite: Tensor | bool = True
        optimizer.register_state_dict_post_hook(self._add_state)
        optimizer.register_load_state_dict_pre_hook(self._take_state)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of a loss, also of one that is not finite: under DDP the other processes wait for it.

        Args:
            loss: A scalar.
        """
        self.norms = {}
        self._losses_are_finite = torch.isfinite(loss.detach()) & self._losses_are_finite
        self._scaler.scale(loss).backward()

    def step(self, current_iter: int, flows_are_possible: Tensor | bool = True) -> bool:
        """Takes a step with what was added since the last one, or skips it; the gradient is cleared in either case.

        Args:
            current_iter: The iteration, for the log.
            flows_are_possible: Whether the flows that the loss stands on may be those of a motion.

        Returns:
            Whether the step was taken.

        Raises:
            TrainingDiverged: `max_skipped` steps in a row were skipped.
        """
        self._scaler.unscale_(self._optimizer)
        gradients = {group: _gradients(parameters) for group, parameters in self._groups.items()}
        norms = {group: get_total_norm(some) for group, some in gradients.items()}
        kind = self._judge(norms, flows_are_possible)
        where = '' if kind is None else self._where(kind)
        if kind is None:
            for group, parameters in self._groups.items():
                if gradients[group]:
                    clip_grads_with_norm_(parameters, self._clip_norm, norms[group])
                    self._history[group].append(self.norms[group])
            self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        self._losses_are_finite = True
        self._count(kind, where, current_iter)
        return kind is None

    def _judge(self, norms: dict[str, Tensor], flows_are_possible: Tensor | bool) -> str | None:
        """What is wrong with the step, the same in all processes."""
        device = next(self._network.parameters()).device
        measured = (*norms.values(), self._losses_are_finite, flows_are_possible)
        # one wait for the device
        *found, losses_are_finite, flows_are_possible = torch.stack(
            [torch.as_tensor(number, dtype=torch.float64, device=device) for number in measured]
        ).tolist()
        self.norms = dict(zip(norms, found, strict=True))
        finite = bool(losses_are_finite) and all(map(math.isfinite, found))
        usual = not self._gradient_limit or all(
            norm <= self._gradient_limit * statistics.median(self._history[group])
            for group, norm in self.norms.items()
            if len(self._history[group]) >= _FEWEST_NORMS
        )
        verdicts = {NOT_FINITE: finite, NO_MOTION: bool(flows_are_possible), FAR_TOO_LARGE: usual or not finite}
        agreed = _everywhere(list(verdicts.values()), device)
        return next((kind for kind, good in zip(verdicts, agreed, strict=True) if not good), None)

    def _where(self, kind: str) -> str:
        """Names what is not finite, or the part of the network whose gradient is largest."""
        if kind == NO_MOTION:
            return f'flows of {FLOW_NETWORK}'
        parts = defaultdict(list)
        for name, parameter in self._network.named_parameters():
            if parameter.grad is not None:
                parts[_part_of(name)].append(parameter.grad)
        norms = {part: get_total_norm(gradients).item() for part, gradients in parts.items()}
        broken = [part for part, norm in norms.items() if not math.isfinite(norm)]
        if broken:
            return 'gradients of every part' if len(broken) == len(norms) else f'gradients of {", ".join(broken)}'
        return 'the loss' if kind == NOT_FINITE or not norms else f'gradients of {max(norms, key=norms.__getitem__)}'

    def _count(self, kind: str | None, where: str, current_iter: int) -> None:
        if kind is None:
            self.skipped_in_a_row = 0
            return
        self.skipped_in_a_row += 1
        self.skipped[kind] += 1
        get_root_logger().warning(
            f'Iteration {current_iter}: {kind}, so the step is skipped '
            f'({self.skipped_in_a_row} in a row, {self.skipped.total()} in all). Where: {where}.'
        )
        if self.skipped_in_a_row >= self._max_skipped:
            raise TrainingDiverged(
                f'Training stopped at iteration {current_iter}, because {self.skipped_in_a_row} steps in a row were '
                f'skipped (train: max_skipped_steps is {self._max_skipped}), the last one since {kind} ({where}); look '
                f'for damaged data, or resume from an earlier state with a lower learning rate, {_CURES[kind]}.'
            )

    def _add_state(self, _: torch.optim.Optimizer, state: dict) -> None:
        state[STATE_KEY] = {
            'skipped': dict(self.skipped),
            'skipped_in_a_row': self.skipped_in_a_row,
            'norms': {group: list(norms) for group, norms in self._history.items()},
            'scaler': self._scaler.state_dict(),
        }

    def _take_state(self, _: torch.optim.Optimizer, state: dict) -> None:
        own = state.pop(STATE_KEY, None)
        if own is None:
            return
        skipped = own['skipped']
        # states before 0.2 have one count
        self.skipped = Counter(skipped if isinstance(skipped, Mapping) else {NOT_FINITE: skipped})
        # a run that goes on from where one ended has all its patience again
        ended = own['skipped_in_a_row'] >= self._max_skipped
        self.skipped_in_a_row = 0 if ended else own['skipped_in_a_row']
        for group, norms in own.get('norms', {}).items():
            self._history[group] = deque(norms, maxlen=_NORMS)
        # Empty in the state of a run without fp16.
        if own['scaler'] and self._scaler.is_enabled():
            self._scaler.load_state_dict(own['scaler'])


_CURES = {
    NOT_FINITE: 'train: grad_clip_norm or train: precision: fp32',
    FAR_TOO_LARGE: 'train: grad_clip_norm, or a higher train: gradient_limit if such gradients are usual',
    NO_MOTION: f'or without training the flow network (train: freeze: [{FLOW_NETWORK}.*]), or with a higher train: '
    'flow_limit if such motion is real',
}


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _part_of(name: str) -> str:
    """The part of the network that a parameter is in, with its number where parts are numbered."""
    first, *rest = name.split('.')
    return f'{first}.{rest[0]}' if rest and rest[0].isdigit() else first


def _everywhere(conditions: list[bool], device: torch.device) -> list[bool]:
    """Which conditions hold in all processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return conditions
    signs = torch.tensor(conditions, dtype=torch.int32, device=device)
    distributed.all_reduce(signs, distributed.ReduceOp.MIN)
    return [bool(sign) for sign in signs.tolist()]
