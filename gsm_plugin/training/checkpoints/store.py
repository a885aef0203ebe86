"""The checkpoints of an experiment: training states, and beside them the networks in BasicSR's layout."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.files import part_of
from gsm_plugin.training.checkpoints.sealed_file import DamagedFile, read_sealed, write_sealed

_NEEDED = frozenset({'iter', 'epoch', 'optimizers', 'schedulers'})


@dataclass(frozen=True)
class FoundState:
    """A training state that was read.

    Attributes:
        path: Its file.
        content: What is in it.
        skipped: A sentence for each newer one that is damaged.
    """

    path: Path
    content: dict
    skipped: tuple[str, ...] = ()


class CheckpointStore:
    """Writes, finds and throws away checkpoints; all of it belongs to the first process of a run, but `read_state`.

    A checkpoint is `training_states/<iteration>.state`, which has everything, and `models/net_*_<iteration>.pth`. The
    state is written last: where it is, the checkpoint is whole.

    Args:
        states: Folder of the training states.
        models: Folder of the networks.
        keep_last: How many of the newest checkpoints stay; None for all of them.
        keep_every: Beside those, the first checkpoint at or after every multiple of this stays; None for none.
        keep_always: A checkpoint that stays whatever comes; None for none.
    """

    def __init__(
        self,
        states: Path,
        models: Path,
        keep_last: int | None = None,
        keep_every: int | None = None,
        keep_always: int | None = None,
    ):
        self._states = states
        self._models = models
        self._keep_last = keep_last
        self._keep_every = keep_every
        self._keep_always = keep_always

    def save(self, iteration: int, state: Mapping, networks: Mapping[str, Mapping]) -> None:
        """Writes a checkpoint.

        Args:
            iteration: Its number.
            state: Everything that a run needs to go on.
            networks: Contents of the files of networks by their names.

        Raises:
            UserError: It cannot be written.
        """
        self.save_networks(networks)
        self._write(self._states / f'{iteration}.state', state)

    def save_networks(self, networks: Mapping[str, Mapping]) -> None:
        """Writes files of networks alone.

        Raises:
            UserError: One cannot be written.
        """
        for name, content in networks.items():
            self._write(self._models / name, content)

    def thin_out(self, newest: int) -> None:
        """Throws away the checkpoints that are no longer kept.

        Args:
            newest: The checkpoint that the run has reached; later ones are of another run and are left alone.
        """
        if not (self._keep_last or self._keep_every):
            return
        reached = sorted(iteration for iteration in self._iterations() if iteration <= newest)
        kept = {*self._kept(reached), self._keep_always}
        for iteration in set(reached) - kept:
            (self._states / f'{iteration}.state').unlink(missing_ok=True)
        for path in self._models.glob('net_*.pth'):
            number = re.search(r'_(\d+)\.pth$', path.name)
            if number and int(number[1]) < newest and int(number[1]) not in kept:
                path.unlink(missing_ok=True)

    def newest(self, accept: Callable[[dict], bool] = lambda state: True) -> FoundState | None:
        """The newest training state that is whole; newer ones that are damaged are set aside as *.damaged.

        Args:
            accept: Tells of a state whether it will do.

        Returns:
            The state; None where there is none at all, or none that will do.

        Raises:
            UserError: There are states, but not one that can be read.
        """
        damaged, whole = [], 0
        for iteration in sorted(self._iterations(), reverse=True):
            path = self._states / f'{iteration}.state'
            try:
                state = _read(path)
            except DamagedFile as error:
                damaged.append((path, error))
                continue
            whole += 1
            if accept(state):
                return FoundState(path, state, tuple(_set_aside(*one) for one in damaged))
        if damaged and not whole:
            path, reason = damaged[0]
            raise UserError(
                f'None of the {len(damaged)} training states in {self._states} can be read; of {path.name}: {reason}. '
                f'Delete or move them to start afresh, or name another state in path:resume_state.'
            )
        return None

    def read_state(self, path: Path) -> FoundState:
        """Reads a training state that is named.

        Raises:
            UserError: It does not exist, is damaged, or is no training state.
        """
        try:
            return FoundState(path, _read(path))
        except FileNotFoundError as error:
            raise UserError(f'The training state {path} does not exist; correct path:resume_state.') from error
        except DamagedFile as error:
            raise UserError(f'The training state {path} cannot be read: {error}; name another one.') from error

    def has_networks(self) -> bool:
        """Whether there is anything that a new run would overwrite."""
        return any(self._models.glob('*.pth'))

    def sweep(self) -> None:
        """Removes what was being written when a run was killed."""
        for folder in (self._states, self._models):
            for path in folder.glob(part_of(Path('*')).name):
                path.unlink(missing_ok=True)

    def _write(self, path: Path, content: Mapping) -> None:
        try:
            write_sealed(path, content)
        except OSError as error:
            is_first = next(self._iterations(), None) is None
            cure = (
                'start again: this was the first checkpoint of the run'
                if is_first
                else 'continue with --auto_resume: what was saved before is whole'
            )
            raise UserError(
                f'{path} cannot be written ({error.strerror}); make room or correct the folder, then {cure}.'
            ) from error

    def _iterations(self) -> Iterator[int]:
        return (int(path.stem) for path in self._states.glob('*.state') if path.stem.isdigit())

    def _kept(self, iterations: list[int]) -> Iterator[int]:
        yield from iterations[-(self._keep_last or 1) :]
        if not self._keep_every:
            return
        reached = 0
        for iteration in iterations:
            if iteration // self._keep_every > reached:
                reached = iteration // self._keep_every
                yield iteration


def _read(path: Path) -> dict:
    try:
        state = read_sealed(path)
    except FileNotFoundError:
        raise
    except IsADirectoryError as error:
        raise UserError(f'The training state {path} is a folder; name a file in it, such as 5000.state.') from error
    except OSError as error:
        # A network disk that is away for a moment must not cost the newest checkpoint.
        raise UserError(f'The training state {path} cannot be read now ({error.strerror}); try again.') from error
    if not isinstance(state, dict) or not state.keys() >= _NEEDED:
        raise DamagedFile('it is not a training state of BasicSR')
    return state


def _set_aside(path: Path, error: DamagedFile) -> str:
    """Keeps a damaged state, but under a name that no later checkpoint writes over."""
    aside = path.with_name(f'{path.name}.damaged')
    path.replace(aside)
    return f'The training state {path} is skipped, because {error}; it is now {aside.name}.'
