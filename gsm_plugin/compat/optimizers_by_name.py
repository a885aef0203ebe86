"""`BaseModel` makes Adam and three schedulers alone; any other optimiser or scheduler is a NotImplementedError.

Its warm-up also writes learning rates over those from which most of PyTorch's schedulers compute the next ones.
"""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError

SCHEDULERS_OF_BASICSR = ('MultiStepLR', 'MultiStepRestartLR', 'CosineAnnealingRestartLR')

CANNOT_SERVE = {
    'LBFGS': 'computes the loss several times a step',
    'SparseAdam': 'is for sparse gradients',
    'ReduceLROnPlateau': 'waits for a validation',
    'LambdaLR': 'needs a function, and option files hold plain values',
    'MultiplicativeLR': 'needs a function, and option files hold plain values',
    'SequentialLR': 'is made of other schedulers',
    'ChainedScheduler': 'is made of other schedulers',
}
"""PyTorch's optimisers and schedulers that a training loop of steps cannot use, and why."""


def optimizers() -> dict[str, type]:
    """PyTorch's optimisers by name, those that `CANNOT_SERVE` left out."""
    import torch

    return _subclasses(torch.optim, torch.optim.Optimizer)


def schedulers() -> dict[str, type]:
    """PyTorch's schedulers and BasicSR's by name; MultiStepLR is BasicSR's, which takes restarts too."""
    from basicsr.models import lr_scheduler
    from torch.optim import lr_scheduler as torchs

    own = {name: getattr(lr_scheduler, name, lr_scheduler.MultiStepRestartLR) for name in SCHEDULERS_OF_BASICSR}
    return _subclasses(torchs, torchs.LRScheduler) | own


def patch(base_model: ModuleType) -> None:
    """Takes any of them by its name, and keeps what they compute apart from the warm-up."""
    model = base_model.BaseModel
    setup, update = model.setup_schedulers, model.update_learning_rate

    @replaces(model)
    def get_optimizer(self, optim_type, params, lr, **kwargs):
        return _construct('train:optim_*', optimizers()[optim_type], params, lr=lr, **kwargs)

    @replaces(model)
    def setup_schedulers(self):
        arguments = dict(self.opt['train']['scheduler'])
        name = arguments.pop('type')
        if name in SCHEDULERS_OF_BASICSR:
            setup(self)
            return
        for optimizer in self.optimizers:
            self.schedulers.append(_construct('train:scheduler', schedulers()[name], optimizer, **arguments))

    @replaces(model)
    def update_learning_rate(self, current_iter, warmup_iter=-1):
        for scheduler in self.schedulers:
            if not type(scheduler).__module__.startswith('basicsr.'):
                for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_last_lr(), strict=True):
                    group['lr'] = rate
        update(self, current_iter, warmup_iter)


def _subclasses(module: ModuleType, base: type) -> dict[str, type]:
    found = {name: value for name, value in vars(module).items() if isinstance(value, type) and name[0].isalpha()}
    return {
        name: value
        for name, value in found.items()
        if issubclass(value, base) and value is not base and name not in CANNOT_SERVE
    }


def _construct(where: str, cls: type, *args, **kwargs) -> object:
    try:
        return cls(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise UserError(f'{where}: {cls.__name__} refuses its arguments: {error}; correct them.') from error
