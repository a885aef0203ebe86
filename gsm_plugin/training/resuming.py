"""Finds the state that a run goes on from, the same in all processes, and says what is different now."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from basicsr.utils import check_resume, get_root_logger
from torch import distributed

from gsm_plugin.compat.resume_anywhere import check_networks
from gsm_plugin.training.checkpoints.store import CheckpointStore, FoundState
from gsm_plugin.training.json_lines import has_ended
from gsm_plugin.training.schedule import is_of_the_schedule
from gsm_plugin.training.state import is_complete
from gsm_plugin.training.training_log import JSON_LINES

_KEPT_BY_THE_STATE = 'train:optim'
_SET_BY_THE_RUN = ('rank', 'dist', 'auto_resume', 'root_path', 'path:', 'world_size')


def choose_state(store: CheckpointStore, options: dict) -> FoundState | None:
    """The state that a run goes on from: with `--auto_resume` the newest whole one, otherwise `path:resume_state`.

    An experiment that has no state yet goes on from the named one with `--auto_resume` too, so that the same command
    starts and restarts a run that goes on from another experiment.

    Args:
        store: The checkpoints of the experiment.
        options: The finished options.

    Returns:
        The state, or None to start afresh.

    Raises:
        UserError: There is something to go on from, but it cannot be read.
    """
    named = options['path'].get('resume_state')
    found = _for_all(store, options['rank'], store.newest) if options['auto_resume'] else None
    if found is None:
        return None if named is None else store.read_state(Path(named))
    if named is not None and os.path.realpath(named) != os.path.realpath(found.path):
        get_root_logger().warning(f'path:resume_state {named} is passed over: --auto_resume has {found.path}.')
    return found


def choose_good_state(store: CheckpointStore, rank: int) -> FoundState | None:
    """The newest state that was not saved among skipped steps, or None; see `choose_state`."""
    return _for_all(store, rank, lambda: store.newest(lambda state: state.get('is_good', True)))


def is_finished(options: Mapping, found: FoundState) -> bool:
    """Whether a run has done everything, its last validation too, the same in all processes.

    Args:
        options: The finished options.
        found: The state that it would go on from.
    """
    total, path = int(options['train']['total_iter']), options['path']

    def look() -> bool:
        in_its_folder = found.path.resolve().parent == Path(path['training_states']).resolve()
        is_whole = in_its_folder and is_complete(found.content) and any(Path(path['models']).glob('net_*_latest.pth'))
        return is_whole and found.content['iter'] >= total and has_ended(Path(path['log'], JSON_LINES), total)

    if not _is_distributed():
        return look()
    answer = [look() if options['rank'] == 0 else None]
    distributed.broadcast_object_list(answer)
    return bool(answer[0])


def prepare_model_options(options: dict, found: FoundState) -> None:
    """Sets in place which weights the model is to be built with, before a state is put into it.

    Raises:
        UserError: A state of BasicSR's lacks its networks.
    """
    options['path']['resume_state'] = str(found.path)
    if not is_complete(found.content):
        check_resume(options, found.content['iter'])
        check_networks(options, str(found.path))
        return
    ignored = options['path'].get('ignore_resume_networks') or ()
    for key in options['path']:
        if key.startswith('pretrain_network') and key.removeprefix('pretrain_') not in ignored:
            options['path'][key] = None


def describe_changes(before: Mapping, now: Mapping) -> Iterator[str]:
    """Says what a resumed run does in another way than the one that saved the state.

    Args:
        before: What describes the run that saved it; empty for BasicSR's.
        now: What describes this one.

    Yields:
        Sentences.
    """
    if not before:
        yield 'The state is one of BasicSR: the epoch begins again, in another order.'
        return
    old, new = before['samples_at_once'], now['samples_at_once']
    if before['world_size'] != now['world_size'] or old != new:
        yield (
            f'The state is of {before["world_size"]} process(es) with {old} sample(s) an iteration together; now it '
            f'is {now["world_size"]} with {new}. The epoch goes on where it was'
            + ('.' if old == new else ', but the schedule counts iterations, whatever their size.')
        )
    if before['torch'] != now['torch']:
        yield f'The state is of PyTorch {before["torch"]}; now it is {now["torch"]}, so numbers may differ.'
    old, new = before.get('threads'), now.get('threads')
    if None not in (old, new) and old != new:
        yield f'The state is of {old} thread(s); now there are {new}, so numbers may differ.'
    for key in dict.fromkeys([*before['options'], *now['options']]):
        was, new = before['options'].get(key), now['options'].get(key)
        if was != new:
            kept = '; the state keeps what it was' if key.startswith(_KEPT_BY_THE_STATE) else ''
            kept = '; the learning rate follows it from here on' if is_of_the_schedule(key) else kept
            yield f'{key} was {was!r} and is {new!r}{kept}.'


def flat_options(options: Mapping, prefix: str = '') -> dict[str, object]:
    """The option file as paths and plain values, without what is set by the run."""
    flat: dict[str, object] = {}
    for key, value in options.items():
        path = f'{prefix}{key}'
        if isinstance(value, Mapping):
            flat |= flat_options(value, f'{path}:')
        elif not path.startswith(_SET_BY_THE_RUN):
            flat[path] = value
    return flat


def _for_all(store: CheckpointStore, rank: int, choose: Callable[[], FoundState | None]) -> FoundState | None:
    """Lets the first process choose; the others read what it has chosen."""
    if not _is_distributed():
        return choose()
    chosen = choose() if rank == 0 else None
    paths = [None if chosen is None else str(chosen.path)]
    distributed.broadcast_object_list(paths)
    if rank == 0 or paths[0] is None:
        return chosen
    return store.read_state(Path(paths[0]))


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()
