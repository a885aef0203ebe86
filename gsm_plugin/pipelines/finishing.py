"""Turns an option file that was checked into the options of a run, as BasicSR's `parse_options` leaves them."""

import importlib
import os
import random

import torch
from basicsr.utils import dist_util, set_random_seed

from gsm_plugin.errors import UserError


def set_names_and_folders(options: dict, root: str, is_train: bool, debug: bool, auto_resume: bool) -> None:
    """Sets in place what depends on the command alone: the name, the phases of the data sets, the folders.

    Args:
        options: The option file.
        root: Where `experiments`, `results` and `tb_logger` go.
        is_train: Whether it is for training or for a test.
        debug: Whether to log every iteration, and to validate and save every 8, under a name of its own.
        auto_resume: Whether to continue from the newest state of the experiment.
    """
    options['is_train'] = is_train
    options['auto_resume'] = auto_resume
    options['name'] = str(options['name'])
    if debug and not options['name'].startswith('debug'):
        options['name'] = f'debug_{options["name"]}'
    for key, section in options['datasets'].items():
        section['phase'] = key.split('_')[0]
        if 'scale' in options:
            section['scale'] = options['scale']
    if options.get('val') is not None:
        # BasicSR's video models ask for it without looking whether it is there.
        options['val'].setdefault('metrics', None)
    home = os.path.join(root, 'experiments' if is_train else 'results', options['name'])
    options['path']['experiments_root' if is_train else 'results_root'] = home
    options['path']['log'] = home
    options['path']['visualization'] = os.path.join(home, 'visualization')
    if is_train:
        options['path']['models'] = os.path.join(home, 'models')
        options['path']['training_states'] = os.path.join(home, 'training_states')
        _shorten_intervals(options)


def choose_devices(options: dict, launcher: str) -> list[str]:
    """Sets `num_gpu` in place, to no more GPUs than there are; a launched process has one, whatever the number says.

    Returns:
        A sentence where that is not what the file asks for.

    Raises:
        UserError: `num_gpu` leaves no GPU, but `prefetch_mode` needs one.
    """
    wanted, present = options['num_gpu'], torch.cuda.device_count()
    if wanted == 'auto':
        options['num_gpu'] = present
    elif launcher == 'none' or present == 0:
        options['num_gpu'] = min(wanted, present)
    if options['num_gpu'] == 0 and options['datasets'].get('train', {}).get('prefetch_mode') == 'cuda':
        raise UserError('datasets:train:prefetch_mode is cuda, but the run is on the CPU; set ~ or cpu.')
    if wanted in ('auto', options['num_gpu']):
        return []
    seen = 'no GPU: the run is on the CPU' if present == 0 else f'{present} GPU(s), which the run takes'
    return [f'num_gpu is {wanted}, but this machine has {seen}.']


def drop_missing_loggers(options: dict) -> list[str]:
    """Switches TensorBoard and Weights & Biases off in place where they cannot be imported, and says so."""
    logger, notes = options.get('logger') or {}, []
    if logger.get('use_tb_logger') and not _can_import('torch.utils.tensorboard'):
        logger['use_tb_logger'] = False
        notes.append('logger:use_tb_logger is ignored: tensorboard cannot be imported (pip install tensorboard).')
    if (logger.get('wandb') or {}).get('project') is None:
        return notes
    if notes:
        logger['wandb'] = None
        notes.append('logger:wandb is ignored: it takes what TensorBoard is told.')
    elif not _can_import('wandb'):
        logger['wandb'] = None
        notes.append('logger:wandb is ignored: the package wandb cannot be imported (pip install wandb).')
    return notes


def _can_import(name: str) -> bool:
    # An installed package fails too, where one that it needs is missing or of another time.
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def start_processes(options: dict, launcher: str, local_rank: int | None = None) -> None:
    """Joins the processes of a distributed run, and sets `dist`, `rank`, `world_size` and the seed in place.

    Args:
        options: The options.
        launcher: none, pytorch or slurm.
        local_rank: Number of the process on its machine, where the launcher passes it; the environment comes first.

    Raises:
        UserError: The launcher did not start this process.
    """
    options['dist'] = launcher != 'none'
    if options['dist']:
        if local_rank is not None:
            os.environ.setdefault('LOCAL_RANK', str(local_rank))
        arguments = options.get('dist_params') or {} if launcher == 'slurm' else {}
        dist_util.init_dist(launcher, **arguments)
    options['rank'], options['world_size'] = dist_util.get_dist_info()
    if options.get('manual_seed') is None:
        options['manual_seed'] = random.randint(1, 10000)
    set_random_seed(options['manual_seed'] + options['rank'])


def _shorten_intervals(options: dict) -> None:
    if 'debug' not in options['name']:
        return
    if options.get('val') is not None:
        options['val']['val_freq'] = 8
    options['logger']['print_freq'] = 1
    options['logger']['save_checkpoint_freq'] = 8
