"""What every run reads: the top of the file, `path`, `logger` and `dist_params`."""

from typing import Annotated, Literal

from gsm_plugin.options.declared.kinds import (
    AboveZero,
    AsWritten,
    Existing,
    FromZero,
    Positive,
    Registered,
    Seed,
    about,
    called,
)
from gsm_plugin.options.declared.sections import Section, field

_Devices = Annotated[Literal['auto'] | FromZero, called('auto, 0 for the CPU, or the number of GPUs')]


class Run(Section, frozen=True):
    """The top of the file."""

    name: Annotated[AsWritten, about('name of the run and of its folder below experiments/ or results/')]
    model_type: Annotated[Registered, about('class that trains, validates and tests the network')]
    num_gpu: Annotated[_Devices, about('number of GPUs without a launcher; 0 for the CPU, auto for what is there')]
    scale: Annotated[Positive | None, about('factor between LQ and GT')] = None
    manual_seed: Annotated[
        Seed | None,
        about('seed of weights, order and augmentation; left out, one is drawn, logged and kept when the run goes on'),
    ] = None
    find_unused_parameters: Annotated[
        bool, about('whether DistributedDataParallel looks for parameters without gradient')
    ] = False


class LoopRun(Section, frozen=True):
    """What our training loop reads there."""

    deterministic: Annotated[
        bool,
        about('whether to take algorithms that give the same numbers each time; on a GPU they are slower'),
    ] = False


class Start(Section, frozen=True):
    """What every run reads in `path`."""

    resume_state: Annotated[
        Existing | None, about('a .state file to go on from; --auto_resume finds the newest whole one by itself')
    ] = None
    ignore_resume_networks: Annotated[
        list[str] | None, about('networks, such as network_g, that do not take their weights from resume_state')
    ] = None


class Weights(Section, frozen=True):
    """What models read in `path`."""

    pretrain_network: Annotated[Existing | None, about('weights to start from, or to test')] = field(
        'pretrain_network_*', None
    )
    param_key: Annotated[AsWritten | None, about('which weights of that file: params_ema or params')] = field(
        'param_key_*', None
    )
    strict_load: Annotated[
        bool, about('false, for another scale, depth or window: takes what fits, and lists what is new')
    ] = field('strict_load_*', True)


class Wandb(Section, frozen=True):
    """Weights & Biases."""

    project: Annotated[AsWritten | None, about('name of a Weights & Biases project')] = None
    resume_id: Annotated[AsWritten | None, about('id of the Weights & Biases run to go on with')] = None


class Logger(Section, frozen=True):
    """What BasicSR's loop and ours read in `logger`."""

    print_freq: Annotated[AboveZero, about('iterations between log lines')]
    save_checkpoint_freq: Annotated[AboveZero, about('iterations between checkpoints')]
    use_tb_logger: Annotated[bool, about('whether to write TensorBoard logs, below tb_logger/')]
    wandb: Annotated[Wandb, about('Weights & Biases, which is told what TensorBoard is')] = field('wandb', Wandb())


class LoopLogger(Section, frozen=True):
    """What our training loop reads there beside it."""

    keep_last: Annotated[
        Positive | None, about('so many of the newest checkpoints stay; ~ for all of them', none='for all of them')
    ] = None
    keep_every: Annotated[
        Positive | None,
        about('beside those, the first checkpoint from each multiple of this iteration on; ~ for none', 'for none'),
    ] = None
    save_best: Annotated[
        str | None,
        about('metric of the first validation set: the best networks are kept as net_g_best.pth; ~ for none'),
    ] = None
    sample_pictures: Annotated[
        bool, about('at each validation, a frame of each set beside its input: visualization/<set>/samples')
    ] = False


class Slurm(Section, frozen=True):
    """`dist_params`, for `--launcher slurm`."""

    backend: Annotated[str, about('what the processes of --launcher slurm talk by')] = 'nccl'
    port: Annotated[Positive | None, about('port at which the first process waits for the others')] = None
