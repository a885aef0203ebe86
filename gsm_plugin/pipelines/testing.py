"""A test: builds everything, makes the folder of results, and scores one set after another."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.utils import get_env_info, get_root_logger, get_time_str
from basicsr.utils.options import dict2str
from torch import distributed
from torch.utils.data import DataLoader
from tqdm.contrib.logging import logging_redirect_tqdm

from gsm_plugin.ops.dispatch import summarize_backends
from gsm_plugin.processors import choose_threads
from gsm_plugin.training.run_folders import make_folders, set_aside
from gsm_plugin.training.run_log import waiting_log


def run_test(options: dict, arguments: argparse.Namespace, notes: Sequence[str] = ()) -> None:
    """Tests a network on the sets of an option file, in place of BasicSR's pipeline.

    Args:
        options: The finished options.
        arguments: The flags.
        notes: What the log is to say first.

    Raises:
        UserError: Something is wrong that the user can cure; before the first set, nothing was made or renamed then.
    """
    torch.backends.cudnn.benchmark = True
    with waiting_log(options['rank'] == 0, getattr(arguments, 'verbose', False)) as open_log:
        logger = get_root_logger()
        logger.info(get_env_info())
        logger.info(dict2str(options))
        for note in notes:
            logger.warning(note)
        if options['num_gpu'] == 0 and not options['dist']:
            threads, reason = choose_threads(torch.get_num_threads())
            torch.set_num_threads(threads)
            logger.info(f'{threads} thread(s), {reason}.')
        sections = [options['datasets'][key] for key in sorted(options['datasets'])]
        loaders = [_open_set(options, section) for section in sections]
        model = build_model(options)
        logger.info(summarize_backends(model.device.type))
        _prepare_folders(options)
        open_log(Path(options['path']['log'], f'test_{options["name"]}_{get_time_str()}.log'))
    with logging_redirect_tqdm([logger]):
        for section, loader in zip(sections, loaders, strict=True):
            logger.info(f'Testing {section["name"]}...')
            save = options['val']['save_img']
            model.validation(loader, current_iter=options['name'], tb_logger=None, save_img=save)


def _open_set(options: dict, section: dict) -> DataLoader:
    dataset = build_dataset(section)
    get_root_logger().info(f'Number of test images in {section["name"]}: {len(dataset)}')
    devices = {'num_gpu': options['num_gpu'], 'dist': options['dist']}
    return build_dataloader(dataset, section, **devices, sampler=None, seed=options['manual_seed'])


def _prepare_folders(options: dict) -> None:
    path = options['path']
    if options['dist']:
        # no process is refused any more
        distributed.barrier()
    if options['rank'] == 0:
        set_aside(Path(path['results_root']))
        make_folders([path['log'], path['visualization']])
    if options['dist']:
        distributed.barrier()
