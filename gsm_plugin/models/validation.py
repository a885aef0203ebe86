"""Scores the clips of a test set, whichever data set class it is of, alone or shared out among processes."""

import datetime
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.utils import tensor2img
from basicsr.utils.dist_util import get_dist_info
from torch import Tensor, distributed, nn

from gsm_plugin.compat.bad_samples import Samples
from gsm_plugin.errors import UserError
from gsm_plugin.files import write_whole

# A process with few clips waits for one with many; the process group of training would give up after minutes.
_PATIENCE = datetime.timedelta(days=7)


class ValidationSet(Samples, Protocol):
    """A data set as BasicSR's models score it; what only some kinds have is asked for by `hasattr`.

    Attributes:
        opt: Its options.
    """

    opt: dict


class ScalarLogger(Protocol):
    """What TensorBoard's writer and those like it can do."""

    def add_scalar(self, tag: str, value: float, step: int | str, /) -> None:
        """Logs a value at an iteration."""


Save = Callable[[str, np.ndarray], None]
"""Takes the name of a frame and its image (h, w, 3), uint8, BGR."""


@dataclass(frozen=True)
class Clip:
    """A clip of a test set.

    Attributes:
        folder: Its name; clips of one name share a line of the table.
        lq: (t, c, h, w), float32 RGB in [0, 1].
        frames: Numbers of the frames that are scored and saved.
        names: Their names, for files.
        read_gt: Gives the ground truth (c, H, W) of a frame by its number; None where there is none.
    """

    folder: str
    lq: Tensor
    frames: Sequence[int]
    names: Sequence[str]
    read_gt: Callable[[int], Tensor] | None

    def gt(self, frame: int) -> Tensor:
        """`read_gt` of a clip that has ground truth."""
        assert self.read_gt is not None
        return self.read_gt(frame)


def open_clip(dataset: ValidationSet, index: int, center_frame_only: bool) -> Clip:
    """Takes a clip from VideoFoldersDataset, or from BasicSR's recurrent and Vimeo-90K test sets.

    Args:
        dataset: The set; its items have `lq` and `folder`, and `gt` unless the set has `read_gt`.
        index: Number of the clip.
        center_frame_only: Whether the centre frame alone is scored.

    Raises:
        UserError: All frames are to be scored, but the set has the centre frame's ground truth alone.
    """
    item = dataset[index]
    count = len(item['lq'])
    frames = [count // 2] if center_frame_only else list(range(count))
    if center_frame_only and 'lq_path' in item:
        # Vimeo-90K: .../00001/0266/im4.png, all in one folder of results.
        names = ['_'.join(Path(item['lq_path']).parts[-3:-1])]
    else:
        every = item.get('frame_names') or [f'{frame:08d}' for frame in range(count)]
        names = [every[frame] for frame in frames]
    return Clip(item['folder'], item['lq'], frames, names, _gt_reader(dataset, index, item, center_frame_only))


def score_clip(clip: Clip, output: Tensor, metrics: Mapping[str, dict], save: Save | None) -> Iterator[list[float]]:
    """Scores and saves the frames of a clip one by one, as 8-bit BGR images like BasicSR.

    Args:
        clip: The clip; without ground truth, it is not scored.
        output: (t, c, H, W).
        metrics: The option file's metrics by name.
        save: Takes a frame's name and image; None to save nothing.

    Yields:
        Per frame the values of the metrics, in order; none without ground truth.
    """
    for frame, name in zip(clip.frames, clip.names, strict=True):
        image = tensor2img([output[frame]])
        if save is not None:
            save(name, image)
        values = []
        if metrics and clip.read_gt is not None:
            _check_borders(image, metrics)
            images = {'img': image, 'img2': tensor2img([clip.read_gt(frame)])}
            values = [calculate_metric(images, metric) for metric in metrics.values()]
        yield values


def _check_borders(image: np.ndarray, metrics: Mapping[str, dict]) -> None:
    side = min(image.shape[:2])
    for name, metric in metrics.items():
        border = metric.get('crop_border') or 0
        if 2 * border >= side:
            raise UserError(
                f'val:metrics:{name}:crop_border is {border}, which leaves nothing of frames of {side} pixels; lower '
                f'it.'
            )


def save_to(folder: Path, ending: str) -> Save:
    """Makes a function that writes the images of a clip as `folder`/<name>_<ending>.png."""

    def save(name: str, image: np.ndarray) -> None:
        path = folder / f'{name}_{ending}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        # OpenCV's own writing says of a full disk that it failed, and leaves half a file
        write_whole(path, cv2.imencode('.png', image)[1].tobytes())

    return save


def clips_of_this_process(dataset: ValidationSet) -> range:
    """Every process takes every so-manieth clip; with fewer clips than processes, some take none."""
    rank, world_size = get_dist_info()
    return range(rank, len(dataset), world_size)


def count_frames(dataset: ValidationSet, clips: Sequence[int], center_frame_only: bool) -> int | None:
    """How many frames of some clips are scored, without reading them; None where the set cannot tell."""
    if center_frame_only:
        return len(clips)
    if not (hasattr(dataset, 'folders') and hasattr(dataset, 'data_info')):
        return None
    lengths = Counter(dataset.data_info['folder'])
    return sum(lengths[dataset.folders[index]] for index in clips)


def gather_tables(
    scores: Mapping[int, tuple[str, list[list[float]]]], group: distributed.ProcessGroup | None
) -> dict[str, Tensor]:
    """Joins what the processes scored to BasicSR's tables of results, the same in every process.

    Args:
        scores: By the number of the clip, its folder and the metrics' values per frame.
        group: The processes; None where there is one.

    Returns:
        By folder, in the set's order, a table (frames, metrics).
    """
    parts: list[Any] = [scores]
    if group is not None:
        parts = [None] * distributed.get_world_size(group)
        distributed.all_gather_object(parts, scores, group=group)
    rows: defaultdict[str, list[list[float]]] = defaultdict(list)
    for _, (folder, values) in sorted(entry for part in parts for entry in part.items()):
        rows[folder] += values
    return {folder: torch.tensor(values, dtype=torch.float32) for folder, values in rows.items()}


def in_any_process(flag: bool, group: distributed.ProcessGroup | None) -> bool:
    """Whether a flag is set in one of the processes; the group is None where there is one."""
    flags: list[Any] = [flag]
    if group is not None:
        flags = [None] * distributed.get_world_size(group)
        distributed.all_gather_object(flags, flag, group=group)
    return any(flags)


def patient_group() -> distributed.ProcessGroup:
    """A process group for waiting; all processes have to ask for it."""
    group = distributed.new_group(backend='gloo', timeout=_PATIENCE)
    # a number is what processes get that are not in the group, and all are
    assert not isinstance(group, int)
    return group


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation without gradients, and all its parts back into the mode that they were in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


class ScalarsOfSet:
    """A TensorBoard logger that puts a data set's name into the tags that BasicSR gives: metrics/<set>/<metric>.

    Args:
        tb_logger: The logger.
        dataset_name: The set.
    """

    def __init__(self, tb_logger: ScalarLogger, dataset_name: str):
        self._tb_logger = tb_logger
        self._dataset_name = dataset_name

    def add_scalar(self, tag: str, value: float, step: int | str) -> None:
        """Logs a value under the longer tag."""
        self._tb_logger.add_scalar(f'metrics/{self._dataset_name}/{tag.removeprefix("metrics/")}', value, step)


def _gt_reader(
    dataset: ValidationSet, index: int, item: dict, center_frame_only: bool
) -> Callable[[int], Tensor] | None:
    if hasattr(dataset, 'read_gt') and hasattr(dataset, 'has_gt'):
        return partial(dataset.read_gt, index) if dataset.has_gt else None
    gt = item.get('gt')
    if gt is None or gt.dim() == 4:
        return None if gt is None else gt.__getitem__
    if not center_frame_only:
        kind = dataset.opt.get('type', type(dataset).__name__)
        raise UserError(
            f'{dataset.opt["name"]} ({kind}) has the ground truth of the centre frame alone; '
            f'set val: center_frame_only: true.'
        )
    return lambda _: gt
