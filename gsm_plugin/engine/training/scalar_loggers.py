"""TensorBoard and Weights & Biases, in the order that works whichever of them the option file names first."""

import os
import secrets
from collections.abc import Mapping

from basicsr.utils import get_root_logger

from gsm_plugin.compat import UserError


def open_scalar_loggers(options: dict, iteration: int, before: Mapping) -> tuple[object, str | None]:
    """Opens what the option file asks for, in the first process.

    Args:
        options: The finished options.
        iteration: Where the run goes on; scalars after it, of a run that was killed, are hidden.
        before: What describes the run that is gone on with, or nothing: its Weights & Biases run goes on too.

    Returns:
        TensorBoard's writer and the id of the Weights & Biases run, each None where there is none.

    Raises:
        UserError: Weights & Biases does not start.
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
    """Starts what BasicSR's `init_wandb_logger` starts, which calls a function that the package no longer has."""
    import wandb

    section = options['logger']['wandb']
    known = section.get('resume_id') or saved_id
    try:
        run = wandb.init(
            id=known or secrets.token_hex(4),
            resume='allow' if known else 'never',
            name=options['name'],
            config=options,
            project=section['project'],
            sync_tensorboard=True,
        )
    except wandb.Error as error:
        reason = ' '.join(str(error).split()).rstrip('.')
        raise UserError(
            f'logger:wandb does not start ({reason}); run wandb login, set WANDB_MODE=offline in the environment, or '
            f'set logger:wandb:project to ~.'
        ) from error
    again = 'the same as before' if known else 'new'
    get_root_logger().info(f'Weights & Biases run {run.id} ({again}) of project {section["project"]}.')
    return run.id
