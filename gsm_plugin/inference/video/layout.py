"""What the samples of a film's frames mean: pixel format, depth, matrix, range, position of chroma."""

import re
from dataclasses import dataclass, replace

import numpy as np

from gsm_plugin.errors import UserError

# Weights of red and blue in luma, by the numbers of ITU-T H.273.
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_MATRIX_NAMES = {0: 'RGB', 1: 'BT.709', 4: 'FCC', 5: 'BT.601', 6: 'BT.601', 7: 'SMPTE 240M', 9: 'BT.2020'}
_UNSPECIFIED = 2
# Where players draw the line between BT.601 and BT.709 in films that do not tell.
_STANDARD_DEFINITION = 576

# Horizontal and vertical ratio of luma to chroma samples.
_SUBSAMPLING = {'420': (2, 2), '422': (2, 1), '444': (1, 1), '440': (1, 2), '411': (4, 1), '410': (4, 4)}
_PLANAR = re.compile(r'(?:yuvj?(?P<chroma>4\d\d)p|(?P<gray>gray)|(?P<rgb>gbrp))(?P<depth>9|10|12|14|16)?(?:le)?')

LOCATIONS = ('left', 'center', 'topleft', 'top', 'bottomleft', 'bottom')
"""Positions of chroma samples by FFmpeg's names, numbered from 1 in its files."""


@dataclass(frozen=True)
class Layout:
    """How samples mean colours.

    Attributes:
        pixel_format: FFmpeg's name of a planar format.
        full_range: Whether black is 0 and white the largest code.
        matrix: Number of ITU-T H.273; 0 for RGB.
        location: Position of chroma samples, one of `LOCATIONS`.
    """

    pixel_format: str
    full_range: bool
    matrix: int
    location: str = 'left'

    @property
    def depth(self) -> int:
        """Bits of a sample."""
        return int(_parts(self.pixel_format)['depth'] or 8)

    @property
    def kind(self) -> str:
        """`yuv`, `gray` or `rgb`."""
        parts = _parts(self.pixel_format)
        return 'gray' if parts['gray'] else 'rgb' if parts['rgb'] else 'yuv'

    @property
    def subsampling(self) -> tuple[int, int]:
        """Luma samples per chroma sample along a row and a column."""
        return _SUBSAMPLING[_parts(self.pixel_format)['chroma'] or '444']

    @property
    def offsets(self) -> tuple[float, float]:
        """Luma position of the first chroma sample along a row and a column."""
        across, down = self.subsampling
        left = 0 if 'left' in self.location or across == 1 else (across - 1) / 2
        if down == 1:
            return left, 0
        return left, 0 if 'top' in self.location else down - 1 if 'bottom' in self.location else (down - 1) / 2

    @property
    def dtype(self) -> type:
        """NumPy's type of a sample."""
        return np.uint8 if self.depth == 8 else np.uint16

    def plane_shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of each plane."""
        if self.kind == 'gray':
            return [(height, width)]
        across, down = self.subsampling
        chroma = (-(-height // down), -(-width // across))
        return [(height, width), chroma, chroma]

    def has(self, height: int, width: int) -> bool:
        """Whether frames of a size have whole samples of chroma."""
        across, down = self.subsampling
        return not (height % down or width % across)

    def describe(self) -> str:
        """A few words for people."""
        extent = 'full' if self.full_range else 'limited'
        return f'{self.pixel_format}, {_MATRIX_NAMES[self.matrix]}, {extent} range, chroma {self.location}'


def is_planar(pixel_format: str) -> bool:
    """Whether frames of a format can be taken as they are."""
    match = _PLANAR.fullmatch(pixel_format)
    return match is not None and (match['chroma'] is None or match['chroma'] in _SUBSAMPLING)


def is_written(pixel_format: str) -> bool:
    """Whether frames of a format are written; full range is a tag, and not another format."""
    return is_planar(pixel_format) and not pixel_format.startswith('yuvj')


def matrix_of(number: int, height: int, kind: str, where: str) -> int:
    """The matrix that a film means.

    Args:
        number: What its file says, by ITU-T H.273.
        height: Rows of its frames, by which players guess where the file does not say.
        kind: Kind of the layout.
        where: What messages call the film.

    Raises:
        UserError: The matrix is not supported.
    """
    if kind == 'rgb':
        return 0
    if number == _UNSPECIFIED or number == 0:
        return 6 if height <= _STANDARD_DEFINITION else 1
    if number not in LUMA_WEIGHTS:
        raise UserError(
            f'{where} has colours of matrix {number} (ITU-T H.273), which infer does not convert; '
            f'convert it to BT.709 or BT.2020 (non-constant luminance) first.'
        )
    return number


def output_layout(
    layout: Layout, height: int, width: int, enlarged: bool, pixel_format: str | None, depth_of_rgb: int = 8
) -> Layout:
    """How the samples of the output mean colours.

    By default depth, range, matrix and position of chroma stay, and an enlarged film gets 4:2:0, which all players
    take and which still has no fewer chroma samples than the input. Odd sides get 4:4:4.

    Args:
        layout: That of the input.
        height: Rows of the output.
        width: Its columns.
        enlarged: Whether the output is larger than the input on both sides by a factor of 2 or more.
        pixel_format: What the user wants instead, one that is planar.
        depth_of_rgb: Depth of a YUV output where the input is RGB.
    """
    if pixel_format is None:
        deep = layout.depth if layout.kind != 'rgb' else depth_of_rgb
        chroma = '420' if enlarged or layout.kind == 'gray' else _name_of(layout.subsampling)
        across, down = _SUBSAMPLING[chroma]
        if width % across or height % down:
            chroma = '444'
        pixel_format = f'yuv{chroma}p' + ('' if deep == 8 else f'{deep}le')
    elif not is_written(pixel_format):
        raise UserError(
            f'pixel format {pixel_format} is none that infer writes; take yuv420p, yuv422p, yuv444p, gbrp or gray, '
            f'with 10le, 12le or 16le at its end for more bits.'
        )
    output = replace(layout, pixel_format=pixel_format)
    if not output.has(height, width):
        raise UserError(f'{pixel_format} has no {width}x{height}; give --pix-fmt yuv444p, or another -s.')
    if output.kind == 'rgb':
        return replace(output, full_range=True, matrix=0)
    if layout.kind == 'rgb':
        return replace(output, full_range=False, matrix=1)
    return output


def _name_of(subsampling: tuple[int, int]) -> str:
    return next(name for name, ratios in _SUBSAMPLING.items() if ratios == subsampling)


def _parts(pixel_format: str) -> re.Match:
    match = _PLANAR.fullmatch(pixel_format)
    if match is None:
        raise ValueError(f'{pixel_format} is no planar format')
    return match
