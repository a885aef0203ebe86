"""The section `train`: what our loop, GSMModel and BasicSR's models read there."""

from typing import Annotated, Literal

from msgspec import Meta

from gsm_plugin.options.declared.kinds import (
    AboveZero,
    Decays,
    FromZero,
    NotNegative,
    Positive,
    Registered,
    about,
    called,
)
from gsm_plugin.options.declared.sections import Section, field

Precision = Literal['fp32', 'tf32', 'bf16', 'fp16']
_Decay = Annotated[float, Meta(ge=0, lt=1), called('0, for no average, or a number below 1')]
_Hours = Annotated[AboveZero, called('a number of hours above 0')]


class Iterations(Section, frozen=True):
    """What BasicSR's loop and ours read."""

    total_iter: Annotated[Positive, about('number of iterations')]
    warmup_iter: Annotated[int, about('iterations of linear warm-up of the learning rate; -1 for none')] = -1


class LoopTrain(Section, frozen=True):
    """What our training loop reads beside it."""

    max_hours: Annotated[
        _Hours | None,
        about('save and end with status 0 after so many hours; --auto_resume goes on exactly there', none='for none'),
    ] = None
    on_divergence: Annotated[
        Literal['stop', 'rollback'],
        about('stop, or rollback: go back to the last good checkpoint, and on with other data; at most 3 times'),
    ] = 'stop'


class Train(Section, frozen=True):
    """What GSMModel reads."""

    precision: Annotated[Precision, about('fp32, tf32 (faster, of 11 bits, on a GPU), bf16 or fp16 (autocast)')] = (
        'fp32'
    )
    plain_autocast: Annotated[
        bool, about("in bf16 or fp16, layers follow PyTorch's autocast alone, without types of their own")
    ] = False
    accumulate_iter: Annotated[Positive, about('iterations whose gradients are added up for one step')] = 1
    grad_clip_norm: Annotated[
        AboveZero | None,
        about('largest norm of the gradients, of the flow network and of the rest apart', none='for no clipping'),
    ] = None
    gradient_limit: Annotated[
        AboveZero | None,
        about('a step whose gradient is above so many times its running median is bad; ~ for no limit', 'for no limit'),
    ] = 100.0
    max_skipped_steps: Annotated[Positive, about('so many bad steps in a row, which are skipped, are a divergence')] = (
        20
    )
    fix_flow: Annotated[FromZero, about('the flow network stays as it is before this iteration')] = 0
    flow_lr_mul: Annotated[
        NotNegative | None,
        about('learning rate of the flow network relative to the others; left out, a loaded one is kept as it is'),
    ] = None
    flow_tolerance: Annotated[
        AboveZero | None,
        about(
            'the flow network is put back, for good, where training makes its flows worse by this; ~ for never',
            none='to train the flow network whatever becomes of it',
        ),
    ] = 0.02
    flow_limit: Annotated[
        AboveZero, about('a step with flows longer than so many times the longer side of the frame is bad')
    ] = 2.0
    freeze: Annotated[
        list[str],
        about("names of parameters that are never trained, with wildcards: ['spynet.*', 'prop_layers.0.*']"),
    ] = field('freeze', [])


class Optimizer(Section, frozen=True):
    """An optimiser: what is declared of its arguments; the others are those of its class."""

    type: Annotated[Registered, about("Adam, AdamW or another optimiser of PyTorch's")]
    lr: Annotated[AboveZero, about('learning rate')]
    weight_decay: Annotated[NotNegative | None, about('decay of the weights at each step')] = None
    betas: Annotated[Decays | None, about('decays of the running means of gradients and their squares')] = None


class Scheduler(Section, frozen=True):
    """What is declared of the arguments of a schedule."""

    type: Annotated[Registered, about("BasicSR's CosineAnnealingRestartLR, or another schedule of PyTorch's")]
    periods: Annotated[list[float] | None, about('iterations of each cosine')] = None
    restart_weights: Annotated[list[float] | None, about('factor of the learning rate in each period')] = None
    milestones: Annotated[list[float] | None, about('iterations after which the learning rate falls')] = None
    eta_min: Annotated[float | None, about('least learning rate')] = None


class Loss(Section, frozen=True):
    """What is declared of the arguments of a loss."""

    type: Annotated[Registered, about('L1Loss, CharbonnierLoss or another loss')]
    loss_weight: Annotated[float, about('factor of the loss')] = 1.0
    reduction: Annotated[str, about('mean or sum')] = 'mean'


class HostTrain(Section, frozen=True):
    """What BasicSR's models read beside it."""

    ema_decay: Annotated[_Decay, about('exponential moving average of the weights; 0 for none')] = 0.0
    optim: Annotated[Optimizer | None, about('optimiser of a network')] = field('optim_*', None)
    scheduler: Annotated[Scheduler | None, about('schedule of the learning rates')] = None
    loss: Annotated[Loss | None, about('a loss')] = field('*_opt', None)
