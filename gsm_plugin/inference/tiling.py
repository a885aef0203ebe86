"""Cuts a clip into overlapping tiles of frames, rows and columns, runs a network on each, and joins the outputs."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.compat import UserError

_AXES = ('frames', 'rows', 'columns')


class Span(NamedTuple):
    """What a tile takes of one axis, and what of its output is kept; positions in LQ frames or pixels of the clip.

    Attributes:
        start: First position that the network sees.
        stop: One after the last.
        keep_start: First position that the output is taken for.
        keep_stop: One after the last.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def check_tile(tile: Sequence[int], overlap: Sequence[int]) -> None:
    """Refuses tiles that cannot cover a clip.

    Args:
        tile: Frames, rows and columns of a tile.
        overlap: By how many frames, rows and columns neighbouring tiles overlap.

    Raises:
        UserError: They are not three whole numbers each, a tile is empty, or it is not larger than its overlap.
    """
    for name, values, least in (('tile', tile, 1), ('tile_overlap', overlap, 0)):
        whole = isinstance(values, Sequence) and all(type(value) is int for value in values)
        if not whole or len(values) != 3 or min(values) < least:
            raise UserError(
                f'{name} is {values!r}; it needs three whole numbers from {least} up: frames, height and width.'
            )
    for axis, size, shared in zip(_AXES, tile, overlap, strict=True):
        if shared >= size:
            raise UserError(f'tile has {size} {axis}, but tile_overlap is {shared}; make it less than the tile.')


def list_spans(length: int, tile: int, overlap: int, drop: int) -> list[Span]:
    """Where tiles lie along one axis: every `tile - overlap`, the last one shifted back to end at the border.

    Args:
        length: Length of the axis; where it is no more than the tile, one span takes it whole.
        tile: Length of a tile.
        overlap: By how much neighbours overlap, less than `tile`.
        drop: How much of the output is dropped at each end that is not a border of the clip, at most half of `overlap`.

    Returns:
        Spans in order; together they keep every position at least once.
    """
    starts = [*range(0, length - tile, tile - overlap), max(0, length - tile)]
    spans = []
    for start in starts:
        stop = min(start + tile, length)
        keep_start = start + drop if start > 0 else 0
        keep_stop = stop - drop if stop < length else length
        spans.append(Span(start, stop, keep_start, keep_stop))
    return spans


def list_tiles(size: Sequence[int], tile: Sequence[int], overlap: Sequence[int]) -> list[tuple[Span, Span, Span]]:
    """The tiles of a clip, frames outermost. On inner edges half of the overlap (rounded down) is dropped in space.

    Along time nothing is dropped: frames that two tiles share are averaged, as in the testers of VRT and its kin.

    Args:
        size: Frames, rows and columns of the clip.
        tile: The same of a tile.
        overlap: By how many of each neighbouring tiles overlap.

    Raises:
        UserError: See `check_tile`.
    """
    return list(product(*_spans(size, tile, overlap)))


def run_tiled(
    network: Callable[[Tensor], Tensor],
    clip: Tensor,
    tile: Sequence[int],
    overlap: Sequence[int],
    scale: int,
    on_tile: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Runs a network on the tiles of a clip; where several outputs are kept, their mean is taken.

    Args:
        network: Takes (b, t, c, h, w), as it lies in `clip`, and gives (b, t, c', h * scale, w * scale).
        clip: (b, t, c, h, w), of any size and on any device.
        tile: Frames, rows and columns of a tile in LQ pixels; a side that is no longer is taken whole.
        overlap: By how many of each neighbouring tiles overlap; see `list_tiles`.
        scale: Enlargement of the network.
        on_tile: Called after each tile with the number of tiles done and of all, for a progress bar.

    Returns:
        (b, t, c', h * scale, w * scale), float32, on the CPU; the device holds one tile at a time.

    Raises:
        UserError: The tiles cannot cover a clip (see `check_tile`), or the network does not enlarge by `scale`.
    """
    batch, frames, _, height, width = clip.shape
    axes = _spans((frames, height, width), tile, overlap)
    tiles = list(product(*axes))
    output = None
    for number, spans in enumerate(tiles, start=1):
        time, rows, columns = (slice(span.start, span.stop) for span in spans)
        part = network(clip[:, time, :, rows, columns].contiguous()).float().cpu()
        _check_output(part, spans, scale)
        if output is None:
            output = torch.zeros(batch, frames, part.shape[2], height * scale, width * scale)
        time, rows, columns = _kept(spans, scale)
        from_time, from_rows, from_columns = _kept(spans, scale, inside=True)
        output[:, time, :, rows, columns] += part[:, from_time, :, from_rows, from_columns]
        if on_tile is not None:
            on_tile(number, len(tiles))
    # The number of outputs at a pixel is a product over the axes, so three vectors hold it.
    counts = [_counts(spans, size) for spans, size in zip(axes, (frames, height, width), strict=True)]
    output /= counts[0].view(-1, 1, 1, 1)
    output /= counts[1].repeat_interleave(scale).view(-1, 1)
    output /= counts[2].repeat_interleave(scale)
    return output


def _spans(size: Sequence[int], tile: Sequence[int], overlap: Sequence[int]) -> list[list[Span]]:
    check_tile(tile, overlap)
    drops = (0, overlap[1] // 2, overlap[2] // 2)
    return [list_spans(*numbers) for numbers in zip(size, tile, overlap, drops, strict=True)]


def _kept(spans: tuple[Span, Span, Span], scale: int, inside: bool = False) -> list[slice]:
    """The kept part of the output on each axis, within the whole output, or inside the tile's own."""
    slices = []
    for span, factor in zip(spans, (1, scale, scale), strict=True):
        origin = span.start if inside else 0
        slices.append(slice((span.keep_start - origin) * factor, (span.keep_stop - origin) * factor))
    return slices


def _counts(spans: Sequence[Span], length: int) -> Tensor:
    counts = torch.zeros(length)
    for span in spans:
        counts[span.keep_start : span.keep_stop] += 1
    return counts


def _check_output(part: Tensor, spans: tuple[Span, Span, Span], scale: int) -> None:
    lengths = [span.stop - span.start for span in spans]
    expected = (lengths[0], lengths[1] * scale, lengths[2] * scale)
    actual = (part.shape[1], *part.shape[-2:])
    if actual != expected:
        raise UserError(
            f'A tile of {lengths} came back as {list(actual)} instead of {list(expected)} frames, rows and columns; '
            f'make scale ({scale}) the enlargement of the network.'
        )
