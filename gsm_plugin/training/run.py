"""Puts a training together from BasicSR's builders and ours, and runs it."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from basicsr.models.base_model import BaseModel
from basicsr.utils import get_env_info, get_root_logger, get_time_str
from basicsr.utils.options import copy_opt_file, dict2str
from torch import distributed
from tqdm.contrib.logging import logging_redirect_tqdm

from gsm_plugin.errors import UserError
from gsm_plugin.files import folder_for
from gsm_plugin.locks import lock_of, locked
from gsm_plugin.ops.dispatch import summarize_backends
from gsm_plugin.processors import choose_threads, is_chosen_by_user
from gsm_plugin.training.checkpoints.store import CheckpointStore, FoundState
from gsm_plugin.training.data_order import Position, TrainingData
from gsm_plugin.training.determinism import choose_algorithms
from gsm_plugin.training.json_lines import JsonLines
from gsm_plugin.training.loop import Parts, TrainingLoop
from gsm_plugin.training.loop_options import LoopOptions
from gsm_plugin.training.machine_faults import is_full
from gsm_plugin.training.progress import Progress
from gsm_plugin.training.rehearsal import rehearse
from gsm_plugin.training.resuming import (
    choose_state,
    describe_changes,
    flat_options,
    is_finished,
    prepare_model_options,
)
from gsm_plugin.training.run_folders import make_folders, set_aside
from gsm_plugin.training.run_log import waiting_log
from gsm_plugin.training.scalar_loggers import logs_scalars, open_tensorboard, start_wandb
from gsm_plugin.training.schedule import Schedule, check_types
from gsm_plugin.training.state import position_of, restore
from gsm_plugin.training.stopping import StopReason, StopRequests

_FOLDERS = ('models', 'training_states', 'log', 'visualization')


def train(options: dict, arguments: argparse.Namespace, notes: Sequence[str] = ()) -> None:
    """Trains, from the beginning or from where an earlier run stopped.

    A run that is asked to stop by SIGTERM, SIGUSR1 or `train: max_hours` makes a checkpoint and returns, so that the
    program ends with status 0 as schedulers expect of a job that did what it was told.

    Args:
        options: The finished options; what the run adds to them is added in place.
        arguments: The flags.
        notes: What the log is to say first.

    Raises:
        UserError: Something is wrong that the user can cure; the checkpoints made so far are whole. Before the first
            iteration, nothing was made or renamed then.
        KeyboardInterrupt: The run was stopped by Ctrl-C, after a checkpoint was made.
    """
    chosen = LoopOptions.read(options)
    with StopRequests(chosen.train.max_hours) as stop, _own_experiment(options):
        try:
            reason = _train(options, arguments, chosen, stop, notes)
        except OSError as error:
            if not is_full(error):
                raise
            raise UserError(
                f'The disk is full ({error.filename or "while writing logs"}); make room, then continue with '
                f'--auto_resume: the checkpoints made so far are whole.'
            ) from error
    if reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt


@contextmanager
def _own_experiment(options: Mapping) -> Iterator[None]:
    """Keeps another training of the same name from renaming the folder, and from writing the same checkpoints."""
    if options['rank'] != 0:
        yield
        return
    root = Path(options['path']['experiments_root'])
    with folder_for(lock_of(root)), locked(root):
        yield


def _train(
    options: dict, arguments: argparse.Namespace, chosen: LoopOptions, stop: StopRequests, notes: Sequence[str]
) -> StopReason | None:
    with waiting_log(options['rank'] == 0, getattr(arguments, 'verbose', False)) as open_log:
        store = _open_store(options, chosen)
        found = choose_state(store, options)
        if found is not None and is_finished(options, found):
            get_root_logger().info(
                f'The training {options["name"]} is finished: its {found.content["iter"]} iterations are done, saved '
                f'and validated. Raise train: total_iter to go on; basicsr test validates again.'
            )
            return None
        _begin_log(options, notes)
        loop = _assemble(options, arguments, chosen, stop, open_log, store, found)
    try:
        with logging_redirect_tqdm([get_root_logger()]):
            reason = loop.run()
    finally:
        loop.parts.data.close()
    _say_goodbye(reason, loop.at, loop.parts.progress)
    return reason


def _begin_log(options: dict, notes: Sequence[str]) -> None:
    logger = get_root_logger()
    logger.info(get_env_info())
    # before the models, which take the types out of their sections
    logger.info(dict2str(options))
    for note in notes:
        logger.warning(note)


def _assemble(
    options: dict,
    arguments: argparse.Namespace,
    chosen: LoopOptions,
    stop: StopRequests,
    open_log: Callable[[Path], None],
    store: CheckpointStore,
    found: FoundState | None,
) -> TrainingLoop:
    """Builds everything that can be refused, and only then makes and renames folders and files."""
    at = position_of(found.content) if found else Position()
    before = found.content.get('run', {}) if found else {}
    choose_algorithms(chosen.run.deterministic)
    options['manual_seed'] = _shared_seed(options, before)
    run = {'seed': options['manual_seed'], 'options': flat_options(options), **_set_threads(options, before)}
    data, val_loaders = _open_data(options)
    run |= _describe(options, data)
    model = _open_model(options, found, run)
    rehearse(model, data)
    get_root_logger().info(summarize_backends(model.device.type))
    run['wandb_id'] = start_wandb(options, before)
    _prepare_folders(options, arguments, store, found)
    open_log(Path(options['path']['log'], f'train_{options["name"]}_{get_time_str()}.log'))
    tb_logger = open_tensorboard(options, at.iteration)
    records = _open_records(options, at, chosen) if options['rank'] == 0 else None
    progress = Progress(options['name'], chosen.iterations.total_iter, at.iteration, model.device, records, tb_logger)
    parts = Parts(model, data, val_loaders, store, progress, stop)
    return TrainingLoop(parts, chosen, options['rank'], options['manual_seed'], at, run)


def _open_store(options: dict, chosen: LoopOptions) -> CheckpointStore:
    path, keeping = options['path'], chosen.keeping
    folders = Path(path['training_states']), Path(path['models'])
    # the last one whose flow network is as it was loaded
    freed_at = options['train'].get('fix_flow')
    before_freed = freed_at - 1 if isinstance(freed_at, int) else None
    return CheckpointStore(*folders, keeping.keep_last, keeping.keep_every, before_freed)


def _prepare_folders(
    options: dict, arguments: argparse.Namespace, store: CheckpointStore, found: FoundState | None
) -> None:
    if options['dist']:
        # no process is refused any more
        distributed.barrier()
    if options['rank'] == 0:
        # With --auto_resume, a run that was killed before its first checkpoint left nothing worth a folder of its own.
        if found is None and not (options['auto_resume'] and not store.has_networks()):
            set_aside(Path(options['path']['experiments_root']))
            if logs_scalars(options):
                set_aside(Path(options['root_path'], 'tb_logger', options['name']))
        make_folders(options['path'][key] for key in _FOLDERS)
        store.sweep()
        if found is not None and found.content.get('is_good', True):
            # The run that saved it may have been killed before it did so.
            store.thin_out(found.content['iter'])
        copy_opt_file(arguments.opt, options['path']['experiments_root'])
    if options['dist']:
        distributed.barrier()


def _shared_seed(options: dict, before: Mapping) -> int:
    """The seed of the run that is gone on with; otherwise the first process's, where each has drawn its own."""
    seed = [before.get('seed', options['manual_seed'])]
    if options['dist']:
        distributed.broadcast_object_list(seed)
    if seed[0] != options['manual_seed']:
        get_root_logger().info(f'The seed of the run is {seed[0]}.')
    return seed[0]


def _set_threads(options: dict, before: Mapping) -> dict[str, int]:
    """Sets the number of threads of a run on a CPU, which the last bits of sums depend on, and describes it.

    A run that is gone on with keeps its number, unless the user has set another one.
    """
    if options['num_gpu']:
        return {}
    threads = torch.get_num_threads()
    # several processes would choose apart from each other
    if not options['dist']:
        threads, reason = choose_threads(threads)
        sentence = f'{threads} thread(s), {reason}.'
        kept = before.get('threads', threads)
        if kept != threads and not is_chosen_by_user():
            sentence = f'{kept} thread(s) as before, so that numbers stay the same. A new run would have {sentence}'
            threads = kept
        get_root_logger().info(sentence)
    torch.set_num_threads(threads)
    return {'threads': threads}


def _open_model(options: dict, found: FoundState | None, run: Mapping) -> BaseModel:
    if found is None:
        return build_model(options)
    logger, state = get_root_logger(), found.content
    for sentence in found.skipped:
        logger.warning(sentence)
    before = state.get('run', {}).get('options', {})
    check_types(before, run['options'])
    prepare_model_options(options, found)
    model = build_model(options)
    schedule = Schedule(model)
    notes = restore(model, state, options['path'].get('ignore_resume_networks') or ())
    if schedule.differs(before, run['options'], state):
        schedule.follow()
    logger.info(f'Resuming training from epoch: {state["epoch"]}, iter: {state["iter"]}. The state is {found.path}.')
    for note in [*notes, *describe_changes(state.get('run', {}), run)]:
        logger.warning(note)
    return model


def _open_records(options: dict, at: Position, chosen: LoopOptions) -> JsonLines:
    records = JsonLines(Path(options['path']['log'], 'train.jsonl'), at.iteration)
    records.write('resume' if at.iteration else 'start', at.iteration, total_iter=chosen.iterations.total_iter)
    return records


def _open_data(options: dict) -> tuple[TrainingData, list[torch.utils.data.DataLoader]]:
    logger = get_root_logger()
    data = TrainingData(options)
    order = data.batches_in_order
    total = int(options['train']['total_iter'])
    logger.info(
        f'Training on {data.clips} clips or images, {order.samples_at_once} an iteration in {options["world_size"]} '
        f'process(es): {len(order)} iterations an epoch, {total} in all, {total / len(order):.1f} epochs.'
    )
    val_loaders = []
    for key, section in options['datasets'].items():
        if key != 'train':
            dataset = build_dataset(section)
            logger.info(f'Number of val images/folders in {section["name"]}: {len(dataset)}')
            val_loaders.append(build_dataloader(dataset, section, num_gpu=options['num_gpu'], dist=options['dist']))
    return data, val_loaders


def _describe(options: dict, data: TrainingData) -> dict[str, object]:
    return {
        'world_size': options['world_size'],
        'samples_at_once': data.batches_in_order.samples_at_once,
        'torch': str(torch.__version__),
    }


def _say_goodbye(reason: StopReason | None, at: Position, progress: Progress) -> None:
    progress.close()
    if progress.tb_logger:
        progress.tb_logger.close()
    if progress.records is None:
        return
    if reason is None:
        progress.records.write('end', at.iteration)
        get_root_logger().info('End of training; the networks are saved as net_*_latest.pth.')
    else:
        progress.records.write('stop', at.iteration, reason=reason.name.lower())
        get_root_logger().info(
            f'Stopped ({reason.name.lower()}) after {at.iteration} iterations; go on by --auto_resume.'
        )
