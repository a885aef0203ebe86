"""The learning rates of a run that goes on under another schedule, or with another rate, than it had before."""

import warnings
from collections.abc import Mapping
from copy import copy

from basicsr.models.base_model import BaseModel

from gsm_plugin.errors import UserError

FOLLOWED = ('train:scheduler:', 'train:flow_lr_mul')
_RATES = ('lr', 'initial_lr', 'max_lr', 'min_lr')
# What says how a scheduler of BasicSR's goes, in states that do not say what the option file was.
_COURSE = ('periods', 'restart_weights', 'eta_min', 'milestones', 'gamma', 'restarts')


def is_of_the_schedule(key: str) -> bool:
    """Whether an option such as `train:optim_g:lr` decides on learning rates, which a resumed run takes anew."""
    return key.startswith(FOLLOWED) or (key.startswith('train:optim_') and key.endswith(':lr'))


def check_types(before: Mapping, now: Mapping) -> None:
    """Refuses a state whose optimisers and schedulers are of other types, as they keep other things.

    Args:
        before: The options of the run that saved the state, flat; empty where that is not known.
        now: Those of this run.

    Raises:
        UserError: The first type that differs.
    """
    for key, value in before.items():
        is_type = key.startswith('train:') and key.endswith(':type') and ('optim_' in key or ':scheduler:' in key)
        if is_type and now.get(key) not in (value, None):
            raise UserError(
                f'{key} was {value} in the run to go on with and is {now[key]}; set it back, or start anew from the '
                f'weights by path:pretrain_network_g.'
            )


class Schedule:
    """The schedule of a model that was just built, by its option file.

    Args:
        model: The model, before a state is put into it.
    """

    def __init__(self, model: BaseModel):
        self._model = model
        self._schedulers = [dict(vars(scheduler)) for scheduler in model.schedulers]
        self._groups = [
            [{key: group[key] for key in _RATES if key in group} for group in optimizer.param_groups]
            for optimizer in model.optimizers
        ]

    def differs(self, before: Mapping, now: Mapping, state: Mapping) -> bool:
        """Whether a state was saved under another schedule.

        Args:
            before: The options of the run that saved it, flat; empty for a state of BasicSR's.
            now: Those of this run.
            state: The state.
        """
        if before:
            keys = {key for key in (*before, *now) if is_of_the_schedule(key)}
            return any(before.get(key) != now.get(key) for key in keys)
        pairs = zip(state['schedulers'], self._schedulers, strict=False)
        return any(saved.get(key) != own.get(key) for saved, own in pairs for key in _COURSE)

    def follow(self) -> None:
        """Sets the learning rates, in a model that a state was put into, to where this schedule would be by now."""
        done = [scheduler.last_epoch for scheduler in self._model.schedulers]
        for optimizer, groups in zip(self._model.optimizers, self._groups, strict=True):
            for group, rates in zip(optimizer.param_groups, groups, strict=True):
                group.update(rates)
        for scheduler, content, steps in zip(self._model.schedulers, self._schedulers, done, strict=True):
            vars(scheduler).clear()
            vars(scheduler).update(copy(content))
            with warnings.catch_warnings():
                # PyTorch wants a step of the optimizer before each of them
                warnings.simplefilter('ignore', UserWarning)
                for _ in range(steps):
                    scheduler.step()
