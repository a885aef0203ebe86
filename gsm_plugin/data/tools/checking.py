"""Checking a data set on the disk: names, numbers, every frame to its last byte, sizes, LQ against GT."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gsm_plugin.compat.image_files import alpha_note
from gsm_plugin.data.clip_names import ClipFacts
from gsm_plugin.data.layouts import Layout
from gsm_plugin.data.parallel import default_workers, map_in_order
from gsm_plugin.data.tools import clip_structure, frame_checks
from gsm_plugin.data.tools.clip_folders import ClipFolder, find_clips, find_empty, read_wanted
from gsm_plugin.data.tools.frame_checks import Frames
from gsm_plugin.data.tools.images import ImageFacts, inspect_file
from gsm_plugin.errors import UserError


@dataclass(frozen=True)
class CheckedData:
    """The outcome of a check.

    Attributes:
        findings: One sentence for everything that is wrong.
        clips: Number of clips of GT.
        frames: Number of frames of GT that could be read.
        held_out: Those clips of GT that are not to be trained on.
        notes: Sentences about what is not wrong but worth knowing.
    """

    findings: list[str]
    clips: int
    frames: int
    held_out: list[str]
    notes: list[str]


def check_dataset(
    layout: Layout,
    gt: Path,
    lq: Path | None = None,
    scale: int = 4,
    clip_list: Path | None = None,
    test_gt: Path | None = None,
    workers: int | None = None,
) -> CheckedData:
    """Looks for what is wrong with a data set.

    Args:
        layout: How it should look.
        gt: Folder of the clips of ground truth.
        lq: Folder of the clips of LQ, or None.
        scale: GT side over LQ side.
        clip_list: File that names the clips to look at, with or without numbers of frames and sizes, which count
            before those of the layout; None for all clips.
        test_gt: Folder of the test clips, of which no frame may be in a clip for training; None compares with the
            held-out clips in `gt` alone.
        workers: Number of threads that read.

    Raises:
        UserError: A folder or the list is missing, or no clip looks like one of the layout.
    """
    reader = _Reader(workers or default_workers())
    listed = None if clip_list is None else read_wanted(clip_list)
    gt_clips, lq_clips = find_clips(gt), {} if lq is None else find_clips(lq)
    expected = clip_structure.expected_clips(layout, gt_clips, listed, gt)
    findings = list(_compare_structure(layout, expected, gt_clips, gt, listed is not None))
    if listed is None:
        findings += find_empty(gt, gt_clips)
        findings += () if lq is None else find_empty(lq, lq_clips)
    gt_frames = reader.read(gt, _chosen(gt_clips, expected))
    findings += frame_checks.find_odd_sizes(gt_frames, gt, expected)
    if lq is not None:
        findings += _compare_structure(layout, expected, lq_clips, lq, listed is not None)
        findings += _compare_names(layout, _chosen(lq_clips, expected), gt_clips, lq, gt)
        lq_frames = reader.read(lq, _chosen(lq_clips, expected))
        findings += frame_checks.find_odd_sizes(lq_frames, lq, {})
        findings += frame_checks.compare_scale(lq_frames, gt_frames, lq, gt, scale)
    train, held_out = frame_checks.split_held_out(gt_frames, layout.held_out)
    findings += frame_checks.find_leaks(train, held_out, gt, gt)
    if test_gt is not None:
        findings += frame_checks.find_leaks(train, reader.read(test_gt, find_clips(test_gt)), gt, test_gt)
    frames = sum(len(images) for images in gt_frames.values())
    notes = [alpha_note(reader.with_alpha)] if reader.with_alpha else []
    return CheckedData(findings + reader.damaged, len(gt_frames), frames, list(held_out), notes)


def _chosen(clips: dict[str, ClipFolder], expected: dict[str, ClipFacts]) -> dict[str, ClipFolder]:
    return {clip: clips[clip] for clip in expected if clip in clips}


def _compare_names(
    layout: Layout, lq: dict[str, ClipFolder], gt: dict[str, ClipFolder], lq_root: Path, gt_root: Path
) -> Iterator[str]:
    # Where the layout gives the names, each side has been compared with those.
    for clip in lq if layout.frame_name is None else ():
        if clip in gt:
            yield from clip_structure.compare_frame_names(lq[clip], gt[clip], lq_root / clip, gt_root / clip)


def _compare_structure(
    layout: Layout, expected: dict[str, ClipFacts], clips: dict[str, ClipFolder], root: Path, only_listed: bool
) -> Iterator[str]:
    yield from clip_structure.compare_clips(expected, clips, root, only_listed)
    for clip, facts in expected.items():
        if clip in clips:
            yield from clip_structure.compare_frames(layout, facts, clips[clip], root / clip)


class _Reader:
    """Reads frames, and keeps sentences about those that are damaged and the names of those with an alpha channel."""

    def __init__(self, workers: int):
        self._workers = workers
        self.damaged: list[str] = []
        self.with_alpha: list[str] = []

    def read(self, root: Path, clips: dict[str, ClipFolder]) -> Frames:
        """Facts of all frames that can be read."""
        places = [(clip, name) for clip, content in clips.items() for name in content.images]
        results = map_in_order(self._inspect, (root / clip / name for clip, name in places), self._workers)
        frames: Frames = {clip: {} for clip in clips}
        bar = tqdm(results, desc=root.name, total=len(places), unit='frame')
        for (clip, name), result in zip(places, bar, strict=True):
            if isinstance(result, ImageFacts):
                frames[clip][name] = result
                if result.header.has_alpha:
                    self.with_alpha.append(str(root / clip / name))
            else:
                self.damaged.append(result)
        return {clip: images for clip, images in frames.items() if images}

    @staticmethod
    def _inspect(path: Path) -> ImageFacts | str:
        try:
            return inspect_file(path)
        except UserError as error:
            return str(error)
