"""TensorBoard and Weights & Biases, in the order that works whichever of them the option file names first."""

import os
from collections.abc import Mapping

from basicsr.utils.logger import init_wandb_logger


def open_scalar_loggers(options: dict, iteration: int, before: Mapping) -> tuple[object, str | None]:
    """Opens what the option file asks for, in the first process.

    Args:
        options: The finished options.
        iteration: Where the run goes on; scalars after it, of a run that was killed, are hidden.
        before: What describes the run that is gone on with, or nothing: its Weights & Biases run goes on too.

    Returns:
        TensorBoard's writer and the id of the Weights & Biases run, each None where there is none.
    """
    logger = options['logger']
    if options['rank'] != 0 or not logger.get('use_tb_logger') or 'debug' in options['name']:
        return None, None
    wandb_id = None
    if (logger.get('wandb') or {}).get('project') is not None:
        # Before TensorBoard, or nothing of it is synchronised.
        wandb_id = _start_wandb(options, before.get('wandb_id'))
    from torch.utils.tensorboard import SummaryWriter

    folder = os.path.join(options['root_path'], 'tb_logger', options['name'])
    return SummaryWriter(log_dir=folder, purge_step=iteration + 1), wandb_id


def _start_wandb(options: dict, saved_id: str | None) -> str:
    section = options['logger']['wandb']
    section['resume_id'] = section.get('resume_id') or saved_id
    init_wandb_logger(options)
    import wandb

    return wandb.run.id
