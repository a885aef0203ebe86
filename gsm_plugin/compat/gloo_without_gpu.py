"""`init_dist` divides by the number of GPUs and starts NCCL, so `--launcher pytorch` dies on a machine without GPU."""

import functools
import os
from types import ModuleType


def mend(dist_util: ModuleType) -> None:
    """Starts gloo where there is no GPU, and says so in one line."""
    original = dist_util.init_dist

    @functools.wraps(original)
    def init_dist(launcher, backend='nccl', **kwargs):
        import torch

        if torch.cuda.is_available():
            return original(launcher, backend, **kwargs)
        if launcher == 'slurm':
            _take_over_from_slurm(dist_util, kwargs.get('port'))
        if os.environ.get('RANK', '0') == '0':
            print('No GPU here: distributed training runs on the CPU, over gloo.', flush=True)
        if torch.multiprocessing.get_start_method(allow_none=True) is None:
            torch.multiprocessing.set_start_method('spawn')
        torch.distributed.init_process_group(backend='gloo')

    dist_util.init_dist = init_dist


def _take_over_from_slurm(dist_util: ModuleType, port: int | None) -> None:
    nodes = os.environ['SLURM_NODELIST']
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.setdefault('MASTER_PORT', '29500')
    os.environ['MASTER_ADDR'] = dist_util.subprocess.getoutput(f'scontrol show hostname {nodes} | head -n1')
    os.environ['WORLD_SIZE'] = os.environ['SLURM_NTASKS']
    os.environ['RANK'] = os.environ['SLURM_PROCID']
