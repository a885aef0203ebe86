"""The sections of data sets: what builders and loaders read of all, and what BasicSR's and our classes read."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from gsm_plugin.options.declared.degradation_section import Degradation
from gsm_plugin.options.declared.kinds import (
    AboveZero,
    AsWritten,
    Existing,
    FromZero,
    NotNegative,
    Positive,
    Registered,
    Share,
    Span,
    Steps,
    about,
    within,
)
from gsm_plugin.options.declared.sections import Section, field

SET_BY_THE_RUN = ('phase', 'scale')
SET_BY_THE_MIX = ('name', 'phase', 'scale', 'num_frame', 'gt_size')
"""What the parts of a mixed set cannot have of their own, since their items go into one batch."""

_Frames = Annotated[Positive, about('frames of a training clip')]
_AnyFrames = Annotated[
    Annotated[int, Meta(ge=-1)], about('frames of a training clip; -1 in validation and tests, which take whole clips')
]
_Crop = Annotated[Positive, about('side of the square GT crop, a multiple of scale')]
_Intervals = Annotated[Steps, about('distances between frames to draw from')]
_Reverse = Annotated[bool, about('reverse clips in time with probability one half')]
_Flip = Annotated[bool, about('flip horizontally with probability one half')]
_Turn = Annotated[bool, about('flip vertically and transpose, each with probability one half')]
_Listed = Annotated[Existing | None, about('text file with the clips to take, such as lines "000 100 (720,1280,3)"')]
_Degradation = Annotated[Degradation, about('how LQ is made, such as {kind: bi}')]
_Lq = Annotated[Existing, about('folder with one subfolder of LQ frames a clip, or an LMDB')]
_Gt = Annotated[Existing, about('folder with one subfolder of GT frames a clip, or an LMDB')]
_OptionalGt = Annotated[Existing | None, about('folder with one subfolder of GT frames a clip, or an LMDB')]


class EverySet(Section, frozen=True):
    """What builders and loaders read of every set."""

    name: Annotated[AsWritten, about('name of the data set in logs and results')]
    type: Annotated[Registered, about('class of the data set')]
    pin_memory: Annotated[bool, about('whether batches are put where a GPU reads them faster')] = True
    persistent_workers: Annotated[bool, about('whether the processes that read data outlive an epoch')] = False
    prefetch_mode: Annotated[
        Literal['cpu', 'cuda'] | None, about('~, cpu or cuda: what BasicSR wraps around the loader', none='for none')
    ] = None
    num_prefetch_queue: Annotated[Positive, about('batches that prefetch_mode cpu keeps ready')] = 1


class TrainingSet(Section, frozen=True):
    """What they read of the training set alone."""

    batch_size_per_gpu: Annotated[Positive, about('clips or images of a step, on each GPU')]
    num_worker_per_gpu: Annotated[FromZero, about('processes that read data, for each GPU; 0 reads in the run itself')]
    dataset_enlarge_ratio: Annotated[
        AboveZero, about('how often the list is repeated in an epoch: workers restart less often')
    ] = 1
    on_bad_sample: Annotated[
        Literal['raise', 'skip'],
        about('raise ends the run at a frame that cannot be read; skip logs it and takes another sample'),
    ] = 'raise'


class HostBackend(Section, frozen=True):
    """What frames are read from, of BasicSR's sets."""

    type: Annotated[str, about('disk or lmdb')] = 'disk'


class Backend(Section, frozen=True):
    """The same of ours."""

    type: Annotated[Literal['disk', 'lmdb'], about('disk or lmdb')] = 'disk'


class HostSet(Section, frozen=True):
    """Keys of BasicSR's sets whose type is known; which set reads which is in the table of its keys."""

    dataroot_lq: _Lq | None = None
    dataroot_gt: _OptionalGt = None
    dataroot: Annotated[Existing | None, about('a folder or an LMDB')] = field('dataroot*', None)
    meta_info_file: _Listed = None
    meta_info: Annotated[Existing | None, about('text file with the images to take')] = field('meta_info', None)
    val_partition: Annotated[
        AsWritten | None, about('left out of training: REDS4 (000, 011, 015, 020) or official (240 to 269)')
    ] = None
    test_mode: Annotated[bool, about('true takes the validation clips instead')] = False
    io_backend: Annotated[HostBackend, about('what frames are read from')] = field('io_backend', HostBackend())
    cache_data: Annotated[bool, about('whether all frames are read at the start and kept')] = False
    num_frame: _AnyFrames = -1
    gt_size: _Crop | None = None
    interval_list: _Intervals = field('interval_list', [1])
    random_reverse: _Reverse = False
    flip_sequence: Annotated[bool, about('show each clip followed by its reverse')] = False
    use_hflip: _Flip = False
    use_rot: _Turn = False
    use_any: Annotated[bool, about('a switch')] = field('use_*', False)


class VideoFolders(Section, frozen=True):
    """VideoFoldersDataset."""

    dataroot_lq: _Lq
    dataroot_gt: _OptionalGt = None
    io_backend: Annotated[Backend, about('what frames are read from')] = field('io_backend', Backend())
    meta_info_file: _Listed = None
    num_frame: _AnyFrames = -1
    gt_size: _Crop | None = None
    interval_list: _Intervals = field('interval_list', [1])
    random_reverse: _Reverse = False
    use_hflip: _Flip = False
    use_rot: _Turn = False


class Cropped(Section, frozen=True):
    """What sets for training alone have in common."""

    num_frame: _Frames
    gt_size: _Crop


class Crops(Cropped, frozen=True):
    """Those that read or make clips themselves."""

    use_hflip: _Flip = False
    use_rot: _Turn = False


class DegradedClips(Crops, frozen=True, kw_only=True):
    """DegradedClipsDataset."""

    dataroot_gt: _Gt
    degradation: _Degradation
    io_backend: Annotated[Backend, about('what frames are read from')] = field('io_backend', Backend())
    meta_info_file: _Listed = None
    gt_shrink: Annotated[
        Positive, about('whole factor by which frames are shrunk by area first, to lose their own noise')
    ] = 1
    interval_list: _Intervals = field('interval_list', [1])
    random_reverse: _Reverse = False


class PhotoClips(Crops, frozen=True, kw_only=True):
    """PhotoClipsDataset."""

    dataroot_stills: Annotated[Existing, about('folder below which all images are photographs')]
    degradation: _Degradation
    dataroot_cutouts: Annotated[Existing | None, about('folder below which all PNGs are objects with alpha')] = None
    shrink: Annotated[
        Span, within(0.05, 1), about('range of the factor by which photographs are shrunk first, by area')
    ] = (
        0.5,
        1.0,
    )
    still_prob: Annotated[Share, about('probability that the photograph behind does not move')] = 0.1
    shift: Annotated[Span, within(0, 100), about('range of the speed of each layer, GT pixels a frame')] = (0, 10)
    turn: Annotated[Span, within(0, 45), about('the same in degrees a frame')] = (0, 1)
    zoom: Annotated[Span, within(0, 0.2), about('the same for the relative change of size a frame')] = (0, 0.01)
    shear: Annotated[Span, within(0, 0.1), about('the same for the change of the shear factor a frame')] = (0, 0.003)
    acceleration: Annotated[
        Annotated[float, Meta(ge=0, le=10)],
        about('by which part of itself a speed changes until either end of the clip, at most'),
    ] = 1
    shake: Annotated[Annotated[float, Meta(ge=0, le=20)], about('greatest amplitude of an oscillation, GT pixels')] = (
        1.5
    )
    objects: Annotated[Span, within(0, 20), about('range of the number of objects before the photograph')] = (0, 3)
    cutout_prob: Annotated[
        Share, about('probability that an object is a cut-out and no shape filled from a photograph')
    ] = 0.5
    object_size: Annotated[Span, within(0.02, 2), about('range of the side of an object relative to the crop')] = (
        0.15,
        0.8,
    )
    blur_prob: Annotated[Share, about('probability of blur by motion')] = 0.25
    shutter: Annotated[Span, within(0, 1), about('range of the exposure, in frames, where there is blur')] = (0.2, 0.9)


class Mixed(Cropped, frozen=True):
    """MixedDataset; what all parts share holds for those that do not set it themselves."""

    parts: Annotated[dict, about('data sets by name: each a section with type, weight and the keys of its type')]
    use_hflip: _Flip | None = None
    use_rot: _Turn | None = None
    degradation: _Degradation | None = None


class Part(Section, frozen=True):
    """What is read of each part beside the keys of its type."""

    type: Annotated[Registered, about('class of the data set')]
    weight: Annotated[
        Annotated[NotNegative, Meta(le=1e6)], about('how often the part is drawn relative to the others')
    ] = 1.0


class Scaled(Section, frozen=True):
    """What the run sets in each data set."""

    scale: Annotated[Positive, about('factor between LQ and GT; the run takes it from the top of the file')]


def scale_of(opt: Mapping, title: str) -> int:
    """The scale that a run has set in the options of a data set.

    Raises:
        UserError: It is missing or wrong; the text begins with `title`.
    """
    return Scaled.read(opt, f'{title}: ').scale
