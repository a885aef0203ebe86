"""Side-by-side pictures of results with a magnified region. Pillow is imported only where something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gsm_plugin.files import whole_file
from gsm_plugin.scoring.report.regions import Region

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_WIDTH, _MARGIN, _GAP, _ZOOM = 1600, 32, 16, 4
_TITLE, _LABEL, _LEAST_LABEL, _SMALL = 34, 28, 14, 22
_INK, _GREY, _MARK, _PAPER = (29, 29, 31), (110, 110, 115), (255, 176, 0), (255, 255, 255)


@dataclass(frozen=True)
class Panel:
    """One column of a comparison.

    Attributes:
        label: Name, such as `bicubic`.
        note: Small text behind the label, such as the PSNR.
        image: (h, w, 3), uint8, RGB.
    """

    label: str
    note: str
    image: np.ndarray


def comparison_strip(title: str, note: str, panels: Sequence[Panel], region: Region) -> Image.Image:
    """Draws images in a row, each below its label, and below each the same region magnified.

    Args:
        title: Text above the row.
        note: Small text behind the title.
        panels: Images of one size, from left to right.
        region: What is magnified; `region_size` gives the size that is enlarged exactly four times.

    Returns:
        The picture, RGB, 1600 pixels wide, on white.

    Raises:
        ValueError: The panels differ in size or there are none, or the region is not inside the images.
    """
    from PIL import Image, ImageDraw

    shapes = {panel.image.shape for panel in panels}
    if len(shapes) != 1:
        raise ValueError(f'The panels have the sizes {sorted(shapes)}; give at least one, all of one size.')
    height, width = panels[0].image.shape[:2]
    if region.of(panels[0].image).shape[:2] != (region.height, region.width):
        raise ValueError(f'{region} is not inside the images of {height}x{width} pixels; choose one that is.')
    column = _column_width(len(panels))
    row, detail = round(height * column / width), round(region.height * column / region.width)
    labels = _MARGIN + _TITLE + 20
    images = labels + _LABEL + 14
    picture = Image.new('RGB', (_WIDTH, images + row + _GAP + detail), _PAPER)
    draw = ImageDraw.Draw(picture)
    _line(draw, (_MARGIN, _MARGIN), title, _TITLE, note)
    for i, panel in enumerate(panels):
        x = _MARGIN + i * (column + _GAP)
        _line(draw, (x, labels), panel.label, _fitting(draw, panel, column), panel.note)
        picture.paste(Image.fromarray(panel.image).resize((column, row), Image.Resampling.LANCZOS), (x, images))
        _mark(draw, (x, images), region, column / width)
        magnified = Image.fromarray(region.of(panel.image)).resize((column, detail), Image.Resampling.NEAREST)
        y = images + row + _GAP
        picture.paste(magnified, (x, y))
        draw.rectangle((x, y, x + column - 1, y + detail - 1), outline=_MARK, width=3)
    return picture


def region_size(image_size: tuple[int, int], panels: int) -> tuple[int, int]:
    """Height and width of the region that a strip magnifies four times: three by four, smaller in small images."""
    width = min(_column_width(panels) // _ZOOM, image_size[1])
    height = min(width * 3 // 4, image_size[0])
    return max(1, height), width


def write_comparison(strips: Sequence[Image.Image], footnote: str, path: str | Path) -> None:
    """Writes strips below each other, with a footnote, as a PNG file that appears when it is complete."""
    from PIL import Image, ImageDraw

    picture = Image.new('RGB', (_WIDTH, sum(strip.height for strip in strips) + _SMALL + 2 * _MARGIN), _PAPER)
    y = 0
    for strip in strips:
        picture.paste(strip, (0, y))
        y += strip.height
    ImageDraw.Draw(picture).text((_MARGIN, y + _MARGIN - 10), footnote, _GREY, _font(_SMALL))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        picture.save(part, format='PNG')


def _column_width(panels: int) -> int:
    """A multiple of the zoom, so that the magnified pixels are all of one size."""
    width = (_WIDTH - 2 * _MARGIN - (panels - 1) * _GAP) // panels
    return width - width % _ZOOM


def _line(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, size: int, note: str) -> None:
    """Text and behind it a small grey note, both on one baseline."""
    left, baseline = corner[0], corner[1] + size
    draw.text((left, baseline), text, _INK, _font(size), anchor='ls')
    behind = left + draw.textlength(text, _font(size)) + size / 2
    draw.text((behind, baseline), note, _GREY, _font(_SMALL), anchor='ls')


def _mark(draw: ImageDraw.ImageDraw, corner: tuple[int, int], region: Region, factor: float) -> None:
    left, right = (corner[0] + round(x * factor) for x in (region.left, region.left + region.width))
    top, bottom = (corner[1] + round(y * factor) for y in (region.top, region.top + region.height))
    draw.rectangle((left, top, right - 1, bottom - 1), outline=_MARK, width=3)


def _fitting(draw: ImageDraw.ImageDraw, panel: Panel, width: int) -> int:
    """The size of a label that leaves room for its note, so that neither runs into the next panel."""
    left = width - draw.textlength(panel.note, _font(_SMALL))
    sizes = range(_LABEL, _LEAST_LABEL, -1)
    return next((size for size in sizes if draw.textlength(panel.label, _font(size)) + size / 2 <= left), _LEAST_LABEL)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
