"""`init_dist` divides by the number of GPUs and starts NCCL, so `--launcher pytorch` dies on a machine without GPU.

It also takes a process's GPU from its rank in the whole job, which is wrong where machines have different numbers of
GPUs, needs Slurm's `scontrol`, which containers lack, and answers a missing variable by a KeyError. After a restart by
torchrun, `init_process_group` may meet the addresses of dead processes.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError

_PORT = '29500'
_MAY_HANG = (
    'A restart by torchrun on several machines may wait for dead processes; start it with --rdzv_backend=c10d and with '
    'TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment of every machine.'
)
_STARTED_BY = {'pytorch': 'torchrun --nproc_per_node=GPUS -m gsm_plugin ...', 'slurm': 'srun ...'}


def patch(dist_util: ModuleType) -> None:
    """Joins the processes by the launcher's environment, on GPUs or, where there is none, over gloo with one line."""

    @replaces(dist_util)
    def init_dist(launcher, backend='nccl', **kwargs):
        import torch

        if launcher == 'slurm':
            take_over_from_slurm(kwargs.pop('port', None))
        _require(launcher, ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'))
        gpus = torch.cuda.device_count()
        if gpus:
            torch.cuda.set_device(gpu_of_this_process(gpus))
        else:
            backend = 'gloo'
            if os.environ['RANK'] == '0':
                print('No GPU here: distributed training runs on the CPU, over gloo.', flush=True)
        if os.environ['RANK'] == '0' and restarts_may_hang():
            print(_MAY_HANG, flush=True)
        if torch.multiprocessing.get_start_method(allow_none=True) is None:
            torch.multiprocessing.set_start_method('spawn')
        torch.distributed.init_process_group(backend=backend, **store_after_restart(), **kwargs)


def restarts_may_hang() -> bool:
    """Whether torchrun, on several machines, would start the processes again with the store that they had."""
    several = os.environ.get('LOCAL_WORLD_SIZE', os.environ['WORLD_SIZE']) != os.environ['WORLD_SIZE']
    restarts = os.environ.get('TORCHELASTIC_MAX_RESTARTS', '0') != '0'
    return several and restarts and os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'


def store_after_restart() -> dict[str, Any]:
    """Arguments of `init_process_group` where torchrun has started the processes again, otherwise nothing.

    torchrun keeps its store, so a process that looks for the address of one that has not written it yet finds that of
    a dead one (PyTorch's issue 135712). Each machine counts its restarts by itself: with several, the count is of no
    use, and `TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1` helps.
    """
    restarts = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    if restarts == '0' or os.environ.get('LOCAL_WORLD_SIZE') != os.environ['WORLD_SIZE']:
        return {}
    from torch import distributed

    store, rank, world_size = next(distributed.rendezvous('env://'))
    return {'store': distributed.PrefixStore(f'restart_{restarts}', store), 'rank': rank, 'world_size': world_size}


def gpu_of_this_process(gpus: int) -> int:
    """Which of the machine's GPUs a process takes: the one of its number on the machine, or the only one it sees."""
    return int(os.environ.get('LOCAL_RANK', os.environ['RANK'])) % gpus


def take_over_from_slurm(port: int | None) -> None:
    """Sets the variables of torchrun from those of Slurm; the address and port that a script exports stay.

    Args:
        port: What the option file says, before `MASTER_PORT` and 29500.

    Raises:
        UserError: Slurm did not start this process.
    """
    _require('slurm', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'))
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.setdefault('MASTER_PORT', _PORT)
    if not os.environ.get('MASTER_ADDR'):
        os.environ['MASTER_ADDR'] = first_host(os.environ['SLURM_NODELIST'])
    os.environ['WORLD_SIZE'] = os.environ['SLURM_NTASKS']
    os.environ['RANK'] = os.environ['SLURM_PROCID']
    if 'SLURM_LOCALID' in os.environ:
        os.environ['LOCAL_RANK'] = os.environ['SLURM_LOCALID']


def first_host(nodes: str) -> str:
    """The first name of a list of Slurm's such as `gpu[03-05,07],login1`: gpu03."""
    if shutil.which('scontrol'):
        answer = subprocess.run(
            ['scontrol', 'show', 'hostname', nodes], capture_output=True, encoding='utf-8', errors='replace'
        )
        if answer.returncode == 0 and answer.stdout.strip():
            return answer.stdout.split()[0]
    # Every bracket counts for itself: rack[1-2]node[3-4].
    first = re.findall(r'(?:[^,\[]|\[[^\]]*\])*', nodes)[0]
    return re.sub(r'\[(\w+)[^\]]*\]', r'\1', first)


def _require(launcher: str, variables: Sequence[str]) -> None:
    missing = [name for name in variables if not os.environ.get(name)]
    if missing:
        raise UserError(
            f'--launcher {launcher} needs {", ".join(missing)} in the environment; start it by {_STARTED_BY[launcher]}'
        )
