"""From the name of an option file to the options of a run: reading, checking and finishing, in that order.

Nothing is made, renamed or started before every check has passed.
"""

import argparse
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

from gsm_plugin.archs.backends import check_backends
from gsm_plugin.compat.resume_anywhere import find_resume_state
from gsm_plugin.data.checks import check_datasets
from gsm_plugin.errors import UserError
from gsm_plugin.locks import refuse_locked
from gsm_plugin.models.flow_training import FLOW_NETWORK
from gsm_plugin.models.freezing import frozen_names
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.options.names import find
from gsm_plugin.options.paths import check_paths, expand_paths
from gsm_plugin.options.reading import force_options, look_up, read_options
from gsm_plugin.pipelines.finishing import (
    choose_devices,
    drop_missing_loggers,
    set_names_and_folders,
    start_processes,
)
from gsm_plugin.training.run_folders import check_writable
from gsm_plugin.weights.reader import read_weights


def prepare_options(
    arguments: argparse.Namespace, root: str, is_train: bool, say: Callable[[str], None] = print
) -> OrderedDict:
    """Reads and checks an option file, joins the processes of a distributed run, and sets the seed.

    Args:
        arguments: BasicSR's flags: `opt`, `force_yml`, `launcher`, `auto_resume`, `debug`.
        root: Where `experiments`, `results` and `tb_logger` go.
        is_train: Whether it is for training or for a test.
        say: Takes in the first process one sentence for each key that is ignored, and the like.

    Returns:
        The options, as BasicSR's `parse_options` leaves them.

    Raises:
        UserError: Something in the file, the command line or the data is wrong.
    """
    options = read_options(arguments.opt)
    force_options(options, arguments.force_yml or [])
    options['path'] = options.get('path') or OrderedDict()
    notes = check_options(options, is_train, arguments.launcher)
    set_names_and_folders(options, root, is_train, arguments.debug, arguments.auto_resume)
    notes += drop_missing_loggers(options)
    resumes = is_train and find_resume_state(options) is not None
    check_paths(options, resumes)
    if is_train:
        _keep_flow_network_of_weights(options)
    check_writable(options['path']['log'])
    if is_train:
        # before seconds of work, and in every process
        refuse_locked(Path(options['path']['experiments_root']))
    check_datasets(options)
    has_weights = options.get('network_g', {}).get('type', 'Bicubic') != 'Bicubic'
    if not is_train and has_weights and options['path'].get('pretrain_network_g') is None:
        notes.append('path:pretrain_network_g is not set: the test is of a network with random weights.')
    if is_train and _flow_network_is_random(options, resumes):
        notes.append(
            'network_g:spynet_path is not set, so the flow network starts from random weights and is trained; '
            'spynet_path: gsm-small-x4 takes one that comes along.'
        )
    freed_at, iterations = (options.get('train', {}).get(key) or 0 for key in ('fix_flow', 'total_iter'))
    if is_train and freed_at >= iterations:
        notes.append(
            f'train:fix_flow is {freed_at}, but the training has {iterations} iterations: the flow network is not '
            f'trained in it.'
        )
    start_processes(options, arguments.launcher, getattr(arguments, 'local_rank', None))
    for note in notes if options['rank'] == 0 else ():
        say(note)
    return options


def check_options(options: dict, is_train: bool, launcher: str = 'none') -> list[str]:
    """Checks what needs no data: keys, values and networks, which are built once.

    Args:
        options: The option file. Home folders, and the number of GPUs, are written out in place.
        is_train: Whether it is for training or for a test.
        launcher: See `choose_devices`.

    Returns:
        One sentence for each key that is ignored, and the like.

    Raises:
        UserError: Something in the file is wrong.
    """
    notes = check_option_file(options, is_train)
    expand_paths(options)
    notes += choose_devices(options, launcher)
    networks = {key: section for key, section in options.items() if key.startswith('network_')}
    check_paths({**networks, 'datasets': {}}, resumes=False)
    _check_networks(options)
    return notes


def _keep_flow_network_of_weights(options: dict) -> None:
    """Lets a flow network that comes with the weights of the whole network be kept as one of its own file is.

    It is settled here, in place, since a resumed run no longer knows from which weights it began.
    """
    train, path = options['train'], options['path']
    weights, model = path.get('pretrain_network_g'), find(MODEL_REGISTRY, options['model_type'])
    if weights is None or not (isinstance(model, type) and issubclass(model, GSMModel)):
        return
    if train.get('flow_lr_mul') is not None or train.get('fix_flow'):
        return
    # weights that are taken strictly have all; those of a run that goes on may be gone
    if path.get('strict_load_g', True) or not os.path.isfile(weights) or _have_flow_network(weights, path):
        train['flow_lr_mul'] = 0.0


def _flow_network_is_random(options: dict, resumes: bool) -> bool:
    network, weights = options['network_g'], options['path'].get('pretrain_network_g')
    return network['type'] == 'GSMamba' and not (network.get('spynet_path') or weights or resumes)


def _have_flow_network(weights: str, path: dict) -> bool:
    return any(FLOW_NETWORK in name for name in read_weights(weights, path.get('param_key_g', 'params')).tensors)


def _check_networks(options: dict) -> None:
    """Builds our own networks once, because they refuse wrong settings when they are built; and what freezes them."""
    for key, section in options.items():
        if not key.startswith('network_'):
            continue
        cls = find(ARCH_REGISTRY, section['type'])
        if cls.__module__.startswith('gsm_plugin.'):
            try:
                network = cls(**{name: value for name, value in section.items() if name != 'type'})
            except (ValueError, OSError) as error:
                raise UserError(f'{key}: {error}') from error
            check_backends(section, 'cuda' if options['num_gpu'] else 'cpu', f'{key}:')
            if key == 'network_g' and (patterns := look_up(options, 'train:freeze')):
                frozen_names(network, patterns)
