"""Optimizer steps that keep non-finite numbers out of the weights."""

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, distributed
from torch.nn.utils import clip_grad_norm_

STATE_KEY = 'gsm_guarded_step'


class TrainingDiverged(RuntimeError):
    """Too many steps in a row had a loss or gradient that is not finite. The weights are those of the last good step.

    The text is one sentence with the number of steps and cures.
    """


class GuardedStep:
    """Backward passes and steps of one optimizer, skipped where a loss or the gradient is not finite.

    A skipped step leaves weights and optimizer as they were. Processes of a distributed training skip alike.
    The counters and the scaler travel inside the optimizer's state dict, so they are in BasicSR's training states;
    states without them can be loaded too, and BasicSR loads states with them.

    Args:
        optimizer: The optimizer.
        scaler: Scales the loss for fp16; may be disabled.
        clip_norm: The gradient's norm is clipped to this; None for no clipping.
        max_skipped: Skipped steps in a row, at which training ends.

    Attributes:
        skipped: Number of steps skipped since the training began.
        skipped_in_a_row: Number of steps skipped since the last one that was taken.
        norm: The gradient's norm before clipping, at the step just taken or skipped; None between steps.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        clip_norm: float | None,
        max_skipped: int,
    ):
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.norm: Tensor | None = None
        self._optimizer = optimizer
        self._scaler = scaler
        self._clip_norm = float('inf') if clip_norm is None else clip_norm
        self._max_skipped = max_skipped
        self._losses_are_finite: Tensor | bool = True
        optimizer.register_state_dict_post_hook(self._add_state)
        optimizer.register_load_state_dict_pre_hook(self._take_state)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of a loss, also of one that is not finite: under DDP the other processes wait for it.

        Args:
            loss: A scalar.
        """
        self.norm = None
        self._losses_are_finite = torch.isfinite(loss.detach()) & self._losses_are_finite
        self._scaler.scale(loss).backward()

    def step(self, current_iter: int) -> bool:
        """Takes a step with what was added since the last one, or skips it; the gradient is cleared in either case.

        Args:
            current_iter: The iteration, for the log.

        Returns:
            Whether the step was taken.

        Raises:
            TrainingDiverged: `max_skipped` steps in a row were skipped.
        """
        self._scaler.unscale_(self._optimizer)
        parameters = [value for group in self._optimizer.param_groups for value in group['params']]
        self.norm = clip_grad_norm_(parameters, self._clip_norm)
        taken = _everywhere(torch.isfinite(self.norm) & self._losses_are_finite)
        if taken:
            self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        self._losses_are_finite = True
        self._count(taken, current_iter)
        return taken

    def _count(self, taken: bool, current_iter: int) -> None:
        self.skipped_in_a_row = 0 if taken else self.skipped_in_a_row + 1
        self.skipped += not taken
        if taken:
            return
        get_root_logger().warning(
            f'Iteration {current_iter}: loss or gradient is not finite, so the step is skipped '
            f'({self.skipped_in_a_row} in a row, {self.skipped} in all).'
        )
        if self.skipped_in_a_row >= self._max_skipped:
            raise TrainingDiverged(
                f'Training stopped at iteration {current_iter}, because {self.skipped_in_a_row} steps in a row had a '
                f'loss or gradient that is not finite (train: max_skipped_steps is {self._max_skipped}); look for '
                f'damaged data, or resume from an earlier state with a lower learning rate, train: grad_clip_norm or '
                f'train: precision: fp32.'
            )

    def _add_state(self, _: torch.optim.Optimizer, state: dict) -> None:
        state[STATE_KEY] = {
            'skipped': self.skipped,
            'skipped_in_a_row': self.skipped_in_a_row,
            'scaler': self._scaler.state_dict(),
        }

    def _take_state(self, _: torch.optim.Optimizer, state: dict) -> None:
        own = state.pop(STATE_KEY, None)
        if own is None:
            return
        self.skipped = own['skipped']
        self.skipped_in_a_row = own['skipped_in_a_row']
        # Empty in the state of a run without fp16.
        if own['scaler'] and self._scaler.is_enabled():
            self._scaler.load_state_dict(own['scaler'])


def _everywhere(condition: Tensor) -> bool:
    """Whether a condition holds in all processes."""
    if distributed.is_available() and distributed.is_initialized():
        condition = condition.to(torch.int32)
        distributed.all_reduce(condition, distributed.ReduceOp.MIN)
    return bool(condition)
