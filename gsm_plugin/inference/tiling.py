"""Cuts a clip into overlapping tiles of frames, rows and columns, runs a network on each, and joins the outputs."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import RULES

_AXES = ('frames', 'rows', 'columns')


class Span(NamedTuple):
    """What a tile takes of one axis of the clip, and what is kept of its output.

    Attributes:
        start: First LQ frame or pixel that the network sees.
        stop: One after the last.
        keep_start: First frame or pixel of the whole output that is taken from the tile.
        keep_stop: One after the last.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def check_tile(tile: Sequence[int], overlap: Sequence[int], rule: str = 'published') -> None:
    """Refuses tiles that cannot cover a clip.

    Args:
        tile: Frames, rows and columns of a tile.
        overlap: By how many frames, rows and columns neighbouring tiles overlap.
        rule: One of `RULES`.

    Raises:
        UserError: They are not three whole numbers each, a tile is empty, it is not larger than its overlap, or the
            rule is none.
    """
    if rule not in RULES:
        raise UserError(f'The rule of tiles is {rule!r}; it must be {" or ".join(RULES)}.')
    for name, values, least in (('tile', tile, 1), ('tile_overlap', overlap, 0)):
        whole = isinstance(values, Sequence) and all(type(value) is int for value in values)
        if not whole or len(values) != 3 or min(values) < least:
            raise UserError(
                f'{name} is {values!r}; it needs three whole numbers from {least} up: frames, height and width.'
            )
    for axis, size, shared in zip(_AXES, tile, overlap, strict=True):
        if shared >= size:
            raise UserError(f'tile has {size} {axis}, but tile_overlap is {shared}; make it less than the tile.')


def list_spans(length: int, tile: int, overlap: int, scale: int, drop: int) -> list[Span]:
    """Where tiles lie along one axis: every `tile - overlap`, the last one shifted back to end at the border.

    Args:
        length: Length of the axis; where it is no more than the tile, one span takes it whole.
        tile: Length of a tile.
        overlap: By how much neighbours overlap, less than `tile`.
        scale: Enlargement of the network along the axis.
        drop: Output pixels that are dropped at each end that is not a border of the clip, at most half of the overlap
            of two outputs.

    Returns:
        Spans in order; together they keep every position at least once.
    """
    starts = [*range(0, length - tile, tile - overlap), max(0, length - tile)]
    spans = []
    for start in starts:
        stop = min(start + tile, length)
        keep_start = start * scale + (drop if start > 0 else 0)
        keep_stop = stop * scale - (drop if stop < length else 0)
        spans.append(Span(start, stop, keep_start, keep_stop))
    return spans


def list_axes(
    size: Sequence[int], tile: Sequence[int], overlap: Sequence[int], scale: int, rule: str = 'published'
) -> list[list[Span]]:
    """The spans of a clip's tiles along time, rows and columns.

    By the rule `blended`, a quarter of the overlap is dropped on inner edges, and in the half between the quarters one
    tile fades into the other. `published` is that of the testers of VRT and GSM: on inner edges a tile loses as many
    pixels of its *output* as half of the overlap (rounded down) has LQ pixels, where two tiles remain, they are
    averaged, and along time nothing is dropped.

    Args:
        size: Frames, rows and columns of the clip.
        tile: The same of a tile.
        overlap: By how many of each neighbouring tiles overlap.
        scale: Enlargement of the network.
        rule: One of `RULES`.

    Raises:
        UserError: See `check_tile`.
    """
    check_tile(tile, overlap, rule)
    scales = (1, scale, scale)
    if rule == 'published':
        drops = [0, overlap[1] // 2, overlap[2] // 2]
    else:
        drops = [shared * factor // 4 for shared, factor in zip(overlap, scales, strict=True)]
    return [list_spans(*numbers) for numbers in zip(size, tile, overlap, scales, drops, strict=True)]


def run_tiled(
    network: Callable[[Tensor], Tensor],
    clip: Tensor,
    tile: Sequence[int],
    overlap: Sequence[int],
    scale: int,
    on_tile: Callable[[int, int], None] | None = None,
    rule: str = 'published',
) -> Tensor:
    """Runs a network on the tiles of a clip; where several outputs are kept, their weighted mean is taken.

    Args:
        network: Takes (b, t, c, h, w), as it lies in `clip`, and gives (b, t, c', h * scale, w * scale).
        clip: (b, t, c, h, w), of any size and on any device.
        tile: Frames, rows and columns of a tile in LQ pixels; a side that is no longer is taken whole.
        overlap: By how many of each neighbouring tiles overlap; see `list_axes`.
        scale: Enlargement of the network.
        on_tile: Called after each tile with the number of tiles done and of all, for a progress bar.
        rule: One of `RULES`.

    Returns:
        (b, t, c', h * scale, w * scale), float32, on the CPU; the device holds one tile at a time.

    Raises:
        UserError: The tiles cannot cover a clip (see `check_tile`), or the network does not enlarge by `scale`.
    """
    batch, frames, _, height, width = clip.shape
    axes = list_axes((frames, height, width), tile, overlap, scale, rule)
    reaches = (overlap[0], overlap[1] * scale, overlap[2] * scale) if rule == 'blended' else (0, 0, 0)
    # The sum of weights at a pixel is a product over the axes, so each axis is made to sum to one.
    shares = product(*(_shares(*pair) for pair in zip(axes, reaches, strict=True)))
    tiles = list(product(axes[0], axes[1], axes[2]))
    output: Tensor | None = None
    for number, (spans, own) in enumerate(zip(tiles, shares, strict=True), start=1):
        time, rows, columns = (slice(span.start, span.stop) for span in spans)
        part = network(clip[:, time, :, rows, columns].contiguous())
        _check_output(part, spans, scale)
        if output is None:
            output = torch.zeros(batch, frames, part.shape[2], height * scale, width * scale)
        time, rows, columns = (slice(span.keep_start, span.keep_stop) for span in spans)
        from_time, from_rows, from_columns = _inside(spans, scale)
        kept = part[:, from_time, :, from_rows, from_columns].float()
        # where the network computes, which is faster at it than the CPU
        for share in (own[1][:, None] * own[2], own[0].view(-1, 1, 1, 1)):
            if not (share == 1).all():
                kept = kept * share.to(kept.device)
        output[:, time, :, rows, columns] += kept.cpu()
        if on_tile is not None:
            on_tile(number, len(tiles))
    # there is a tile at least
    assert output is not None
    return output


def _inside(spans: tuple[Span, Span, Span], scale: int) -> list[slice]:
    """The kept part of a tile's own output on each axis."""
    origins = [span.start * factor for span, factor in zip(spans, (1, scale, scale), strict=True)]
    return [slice(span.keep_start - at, span.keep_stop - at) for span, at in zip(spans, origins, strict=True)]


def _weights(spans: Sequence[Span], reach: int) -> list[Tensor]:
    """Weights of what each span keeps: 1, but from 0 to 1 in the middle half of the `reach` next to an inner edge."""
    stop = spans[-1].keep_stop
    weights = []
    for span in spans:
        place = torch.arange(span.keep_start, span.keep_stop) + 0.5
        weight = torch.ones(len(place))
        if reach and span.keep_start > 0:
            weight = torch.minimum(weight, (place - span.keep_start + reach // 4 - reach / 4) / (reach / 2))
        if reach and span.keep_stop < stop:
            weight = torch.minimum(weight, (span.keep_stop + reach // 4 - place - reach / 4) / (reach / 2))
        weights.append(weight.clamp_(0, 1))
    return weights


def _shares(spans: Sequence[Span], reach: int) -> list[Tensor]:
    """Weights of what each span keeps over those of all that keep the same; see `_weights`."""
    weights = _weights(spans, reach)
    sums = torch.zeros(spans[-1].keep_stop)
    for span, weight in zip(spans, weights, strict=True):
        sums[span.keep_start : span.keep_stop] += weight
    return [weight / sums[span.keep_start : span.keep_stop] for span, weight in zip(spans, weights, strict=True)]


def _check_output(part: Tensor, spans: tuple[Span, Span, Span], scale: int) -> None:
    lengths = [span.stop - span.start for span in spans]
    expected = (lengths[0], lengths[1] * scale, lengths[2] * scale)
    actual = (part.shape[1], *part.shape[-2:])
    if actual != expected:
        raise UserError(
            f'A tile of {lengths} came back as {list(actual)} instead of {list(expected)} frames, rows and columns; '
            f'make scale ({scale}) the enlargement of the network.'
        )
