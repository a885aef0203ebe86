"""Which keys an option file may have: what the pipelines, the data loaders and the classes named in it really read."""

from collections.abc import Iterable

from basicsr.utils.file_client import FileClient
from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY

from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.names import find
from gsm_plugin.options.signatures import constructed_sections, key_of, parameters
from gsm_plugin.options.source_scan import Path, begins, scan_class

# What the training loop, basicsr.train, basicsr.test, BasicSR's loggers and check_resume read, and init_dist takes.
_PIPELINE = {
    'name': (),
    'model_type': (),
    'scale': (),
    'num_gpu': (),
    'manual_seed': (),
    'find_unused_parameters': (),
    'datasets': (),
    'path': ('resume_state', 'ignore_resume_networks'),
    'train': ('total_iter', 'warmup_iter'),
    'val': ('val_freq', 'save_img', 'metrics'),
    'logger': ('print_freq', 'save_checkpoint_freq', 'use_tb_logger', 'wandb', 'wandb:project', 'wandb:resume_id'),
    'dist_params': ('backend', 'port'),
}

# What build_dataset and build_dataloader read for every data set; the run sets phase and scale.
_EVERY_SET = {
    'name',
    'type',
    'phase',
    'scale',
    'pin_memory',
    'persistent_workers',
    'prefetch_mode',
    'num_prefetch_queue',
}

# What they, the training pipeline and the guard of training samples read for the training set alone.
TRAINING_SET_ONLY = frozenset({'batch_size_per_gpu', 'num_worker_per_gpu', 'dataset_enlarge_ratio', 'on_bad_sample'})

LOOP_KEYS: dict[str, str] = {
    'deterministic': 'Only algorithms that give the same result each time, also on a GPU; default false.',
    'train:max_hours': 'Save and end with status 0 after so many hours; default no limit.',
    'train:on_divergence': 'After max_skipped_steps: stop (default), or rollback to the last good checkpoint.',
    'logger:keep_last': 'So many of the newest checkpoints stay; default all of them.',
    'logger:keep_every': 'Beside those, the first checkpoint from every multiple of this iteration on stays.',
    'logger:sample_pictures': 'At each validation, write and log a frame of each set beside its input; default false.',
    'logger:save_best': 'Metric of the first validation set by which the best networks are kept as net_*_best.pth.',
}
"""What BasicSR's own loop does not know; what they mean."""

NEEDED_OF_THE_MODEL = {'train:on_divergence': 'train:max_skipped_steps', 'logger:sample_pictures': 'val:tile'}
"""Keys that are for models which read another one: those that skip steps, and those that restore a clip when asked."""

# What the parts of a mixed set cannot have of their own, since their items go into one batch.
SET_BY_THE_MIX = ('name', 'phase', 'scale', 'num_frame', 'gt_size')

# What parsing sets, whatever the file says.
_SET_BY_THE_RUN = {
    *[('dist',), ('rank',), ('world_size',), ('is_train',), ('root_path',), ('auto_resume',)],
    *[
        ('path', key)
        for key in ('models', 'training_states', 'log', 'visualization', 'experiments_root', 'results_root')
    ],
}


def known_paths(options: dict) -> frozenset[Path]:
    """All key paths that an option file with these classes and functions may have.

    Args:
        options: The option file; the names in it are known ones.

    Returns:
        Paths, in which a segment may have wildcards; see `source_scan`.
    """
    read = _paths([f'{section}:{key}' for section, keys in _PIPELINE.items() for key in keys] + list(_PIPELINE))
    read |= class_paths(find(MODEL_REGISTRY, options['model_type'])) - _SET_BY_THE_RUN
    if 'train' in options['datasets']:
        lacking = {key for key, needed in NEEDED_OF_THE_MODEL.items() if not _paths([needed]) & read}
        read |= _paths(LOOP_KEYS.keys() - lacking)
    known = set(read)
    for section, arguments in constructed_sections(options):
        # A section that the model does not read is no better known for having the keys of its type.
        if any(begins(path, section) for path in read):
            known |= {(*section, key) for key in ['type', *map(key_of, arguments)]}
            known |= {(*section, 'better')} if section[:2] == ('val', 'metrics') else set()
    for path, section in data_sections(options):
        known |= _dataset_paths(tuple(path.split(':')), section)
    return frozenset(known)


def class_paths(cls: type) -> frozenset[Path]:
    """The paths that a class reads: its OPTION_KEYS where it declares them, otherwise what its source says."""
    return frozenset(_paths(cls.OPTION_KEYS)) if hasattr(cls, 'OPTION_KEYS') else scan_class(cls)


def _dataset_paths(parent: Path, section: dict) -> set[Path]:
    cls = find(DATASET_REGISTRY, section['type'])
    own = class_paths(cls)
    if len(parent) > 2:
        # What a part of a mixed set may have: the set itself has the rest.
        return {(*parent, *path) for path in own - _paths(SET_BY_THE_MIX)} | {
            (*parent, key) for key in ('type', 'weight')
        }
    names = _EVERY_SET | (TRAINING_SET_ONLY if parent[1] == 'train' else set())
    paths = {(*parent, name) for name in names} | {(*parent, *path) for path in own}
    if ('io_backend',) in own:
        backend = FileClient._backends.get((section.get('io_backend') or {}).get('type'))
        # BasicSR hands the section to its backend, of which that for the disk has nothing to set.
        takes_more = backend is not None and '__init__' in vars(backend) and not hasattr(cls, 'OPTION_KEYS')
        arguments = parameters(backend) if takes_more else []
        paths |= {(*parent, 'io_backend', name) for name in ['type', *map(key_of, arguments)]}
    return paths


def _paths(keys: Iterable[str]) -> set[Path]:
    return {tuple(key.split(':')) for key in keys}
