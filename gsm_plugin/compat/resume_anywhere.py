"""`load_resume_state` needs CUDA, and with `--auto_resume` looks in the working directory whatever the root path is.

It also trusts what it finds: a state of another experiment has no networks here, a damaged file ends in a traceback.
"""

import os
from pathlib import Path
from types import ModuleType

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError


def patch(train: ModuleType) -> None:
    """Replaces `basicsr.train.load_resume_state`."""

    @replaces(train)
    def load_resume_state(opt):
        path = find_resume_state(opt)
        if path is None:
            return None
        opt['path']['resume_state'] = path
        state = _load(path)
        train.check_resume(opt, state['iter'])
        check_networks(opt, path)
        # The first run made them, unless the state comes from another experiment.
        for key in ('models', 'training_states', 'log', 'visualization'):
            os.makedirs(opt['path'][key], exist_ok=True)
        return state


def find_resume_state(opt: dict) -> str | None:
    """The training state that a run continues from.

    Args:
        opt: Finished options: `auto_resume`, and `path` with `training_states` and perhaps `resume_state`.

    Returns:
        The newest state of the experiment with `--auto_resume`; without it or without one, `path:resume_state`; None to
        start afresh.
    """
    folder = Path(opt['path']['training_states'])
    states = [path for path in folder.glob('*.state') if path.stem.isdigit()] if opt['auto_resume'] else []
    return str(max(states, key=lambda path: int(path.stem))) if states else opt['path'].get('resume_state')


def _load(path: str) -> dict:
    import torch

    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise UserError(
            f'The training state {path} cannot be read ({type(error).__name__}); '
            f'delete it to resume from the one before, or name another one in path:resume_state.'
        ) from error
    if not isinstance(state, dict) or not {'iter', 'epoch', 'optimizers', 'schedulers'} <= state.keys():
        raise UserError(f'{path} is not a training state of BasicSR; path:resume_state names a .state file.')
    return state


def check_networks(opt: dict, state_path: str) -> None:
    """Refuses a state of BasicSR's whose networks are not there.

    Args:
        opt: The options, in which BasicSR's `check_resume` has named the networks.
        state_path: The state, for the text.

    Raises:
        UserError: A network does not exist.
    """
    for key, path in opt['path'].items():
        if key.startswith('pretrain_network') and path is not None and not os.path.isfile(path):
            raise UserError(
                f'The training state {state_path} needs the network {path}, which does not exist; '
                f'put it there, or list the network in path:ignore_resume_networks.'
            )
