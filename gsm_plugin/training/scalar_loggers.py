"""TensorBoard and Weights & Biases, in the order that works whichever of them the option file names first."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from basicsr.utils import get_root_logger

from gsm_plugin.errors import UserError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def logs_scalars(options: dict) -> bool:
    """Whether the option file asks for TensorBoard's scalars, which runs for debugging do not write."""
    return bool(options['logger'].get('use_tb_logger')) and 'debug' not in options['name']


def start_wandb(options: dict, before: Mapping) -> str | None:
    """Starts Weights & Biases in the first process, before TensorBoard, of which it would synchronise nothing else.

    Args:
        options: The finished options.
        before: What describes the run that is gone on with, or nothing: its Weights & Biases run goes on too.

    Returns:
        The id of its run, or None where the option file asks for none.

    Raises:
        UserError: It does not start.
    """
    section = options['logger'].get('wandb') or {}
    if options['rank'] != 0 or not logs_scalars(options) or section.get('project') is None:
        return None
    return _start_wandb(options, before.get('wandb_id'))


def open_tensorboard(options: dict, iteration: int) -> SummaryWriter | None:
    """Opens TensorBoard's writer in the first process.

    Args:
        options: The finished options.
        iteration: Where the run goes on; scalars after it, of a run that was killed, are hidden.

    Returns:
        The writer, or None where the option file asks for none.
    """
    if options['rank'] != 0 or not logs_scalars(options):
        return None
    from torch.utils.tensorboard import SummaryWriter

    folder = os.path.join(options['root_path'], 'tb_logger', options['name'])
    return SummaryWriter(log_dir=folder, purge_step=iteration + 1)


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
