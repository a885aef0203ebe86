"""What the frames themselves show: odd sizes, LQ that does not fit GT, test frames among those for training."""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from gsm_plugin.data.clip_names import ClipFacts
from gsm_plugin.data.lq_gt_checks import compare_sizes
from gsm_plugin.data.tools.images import ImageFacts
from gsm_plugin.errors import UserError

# Facts of the frames that can be read: clip -> file name -> facts.
Frames = dict[str, dict[str, ImageFacts]]


def find_odd_sizes(frames: Frames, root: Path, expected: dict[str, ClipFacts]) -> Iterator[str]:
    """Names the first frame of every clip that has not the size that it should have.

    Args:
        frames: The frames.
        root: Folder of the clips.
        expected: The clips; where no size is known, it is that of most frames of the clip.
    """
    for clip, images in frames.items():
        sizes = {name: facts.header.size for name, facts in images.items()}
        known = expected.get(clip, ClipFacts()).size
        right = known or max(Counter(sizes.values()).items(), key=lambda item: item[1])[0]
        odd = [name for name, size in sizes.items() if size != right]
        if odd:
            size = _text(sizes[odd[0]])
            more = f' (and {len(odd) - 1} more frames of the clip)' if len(odd) > 1 else ''
            reason = 'as it should' if known else 'as most frames of the clip'
            yield f'{root / clip / odd[0]} has {size} pixels, not {_text(right)} {reason}{more}; copy or make it again.'


def compare_scale(lq: Frames, gt: Frames, lq_root: Path, gt_root: Path, scale: int) -> Iterator[str]:
    """Names the first frame of every clip whose GT is not `scale` times LQ; names are compared without extension."""
    ratio = _common_ratio(lq, gt)
    if ratio not in (None, scale):
        yield f'the frames of {gt_root} are {ratio} times those of {lq_root}, not {scale}; correct --scale, or --lq.'
        return
    for clip in (clip for clip in gt if clip in lq):
        low = {Path(name).stem: (str(lq_root / clip / name), facts.header.size) for name, facts in lq[clip].items()}
        try:
            for name, facts in gt[clip].items():
                if Path(name).stem in low:
                    compare_sizes(*low[Path(name).stem], str(gt_root / clip / name), facts.header.size, scale)
        except UserError as error:
            yield str(error)


def _common_ratio(lq: Frames, gt: Frames) -> int | None:
    """The whole number that GT is larger by where it is the same for the first frames of all clips."""
    ratios = set()
    for clip in (clip for clip in gt if lq.get(clip) and gt[clip]):
        (low_height, low_width), (height, width) = (next(iter(side[clip].values())).header.size for side in (lq, gt))
        ratios.add((height / low_height, width / low_width))
    first = next(iter(ratios), (0.5, 0.5))
    return int(first[0]) if len(ratios) == 1 and first[0] == first[1] == int(first[0]) else None


def find_leaks(train: Frames, held_out: Frames, root: Path, held_out_root: Path) -> Iterator[str]:
    """Names the training clips that have a frame of a clip which is not to be trained on."""
    places = {facts.digest: (clip, name) for clip, images in held_out.items() for name, facts in images.items()}
    for clip, images in train.items():
        for name, facts in images.items():
            if facts.digest in places:
                other = held_out_root.joinpath(*places[facts.digest])
                yield (
                    f'{root / clip / name} shows the same as {other}, which is for tests; '
                    f'remove clip {clip}, or copy the right one.'
                )
                break


def split_held_out(frames: Frames, held_out: Collection[str]) -> tuple[Frames, Frames]:
    """The clips for training, and those that are held out."""
    train = {clip: images for clip, images in frames.items() if clip not in held_out}
    return train, {clip: images for clip, images in frames.items() if clip in held_out}


def _text(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'
