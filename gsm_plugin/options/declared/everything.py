"""Which declared sections stand where in an option file, and who reads them."""

from collections.abc import Iterator
from typing import Annotated

from gsm_plugin.options.declared import run_sections, set_sections, train_section, val_section
from gsm_plugin.options.declared.kinds import Existing, about
from gsm_plugin.options.declared.sections import Key, Section, field, paths_of

Path = tuple[str, ...]


class Network(Section, frozen=True):
    """What is declared of the arguments of networks; the others are those of their class."""

    path: Annotated[Existing | None, about('a file that the network reads')] = field('*_path', None)


Places = dict[Path, tuple[type[Section], ...]]

EVERY_RUN: Places = {
    (): (run_sections.Run,),
    ('path',): (run_sections.Start,),
    ('logger',): (run_sections.Logger,),
    ('train',): (train_section.Iterations,),
    ('val',): (val_section.LoopVal,),
    ('dist_params',): (run_sections.Slurm,),
}
"""What the run itself reads, whatever the classes are."""

LOOP: dict[Path, type[Section]] = {
    (): run_sections.LoopRun,
    ('train',): train_section.LoopTrain,
    ('logger',): run_sections.LoopLogger,
}
"""What our training loop reads, and BasicSR's does not know."""

OF_MODELS: Places = {
    ('path',): (run_sections.Weights,),
    ('train',): (train_section.Train, train_section.HostTrain),
    ('val',): (val_section.Val,),
}
"""Keys of which each model reads some."""

OF_SETS: tuple[type[Section], ...] = (set_sections.EverySet, set_sections.TrainingSet, set_sections.HostSet)
"""What is read of data sets that do not declare their keys, by the builders and by BasicSR's classes."""

OUR_SETS: dict[str, type[Section]] = {
    'VideoFoldersDataset': set_sections.VideoFolders,
    'DegradedClipsDataset': set_sections.DegradedClips,
    'PhotoClipsDataset': set_sections.PhotoClips,
    'MixedDataset': set_sections.Mixed,
}
"""What our own data sets declare, by their type."""


def every_place() -> Iterator[tuple[Path, type[Section], str]]:
    """All declared sections, each with its path and with who reads it, in the order of an option file."""
    host = dict.fromkeys(OF_MODELS, (run_sections.Weights, train_section.HostTrain))
    for path in dict.fromkeys((*EVERY_RUN, *OF_MODELS)):
        yield from ((path, one, 'every run') for one in EVERY_RUN.get(path, ()))
        if path in LOOP:
            yield path, LOOP[path], 'training by basicsr train'
        for one in OF_MODELS.get(path, ()):
            yield path, one, "BasicSR's models and GSMModel" if one in host[path] else 'GSMModel'
    yield ('network_*',), Network, 'the network'
    yield ('val', 'metrics', '*'), val_section.Metric, 'the metric'
    readers = ('every data set', 'every training set', "BasicSR's data sets")
    for one, reader in (*zip(OF_SETS, readers, strict=True), *((one, name) for name, one in OUR_SETS.items())):
        yield ('datasets', '*'), one, reader
    yield ('datasets', '*', 'parts', '*'), set_sections.Part, 'MixedDataset'


def every_key() -> Iterator[tuple[Path, Key]]:
    """All declared keys, each with its path; one that several read in several ways comes several times."""
    for parent, declared, _ in every_place():
        yield from paths_of(declared, parent)
