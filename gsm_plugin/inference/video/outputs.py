"""What is written, by the kind of output: a film, or a folder of images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from gsm_plugin.errors import UserError
from gsm_plugin.files import part_of, publish
from gsm_plugin.inference.video.copying import Copy, describe_missing, plan_copies
from gsm_plugin.inference.video.encoding import Encoder, choose_encoder
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.images import ImageKind, image_kind
from gsm_plugin.inference.video.joining import Film, join, keeps_matrix, rehearse
from gsm_plugin.inference.video.layout import Layout
from gsm_plugin.inference.video.manifest import Workplace
from gsm_plugin.inference.video.opening import opened, video_stream
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.sinks import EncodedSegments, ImageSegments
from gsm_plugin.inference.video.treatment import Treatment

if TYPE_CHECKING:
    # which needs PyTorch
    from gsm_plugin.inference.video.survey import Survey

# Of the time of a frame, by how much one may lie beside a constant rate; Matroska rounds to milliseconds.
_OFF_THE_RATE = 0.25
_KNOWN_IMAGES = ('png', 'jpg', 'jpeg', 'webp', 'tif', 'tiff', 'bmp')


@dataclass(frozen=True)
class FilmOutput:
    """A film to write.

    Attributes:
        film: The film.
        stamps: Time stamps of its frames.
        durations: Duration of each frame by its time stamp.
    """

    film: Film
    stamps: Sequence[int] = ()
    durations: dict[int, int] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """What samples of the output mean."""
        return self.film.encoder.layout

    def describe(self) -> str:
        """What it is, in a line."""
        encoder = self.film.encoder
        options = ' '.join(f'{name}={value}' for name, value in encoder.options.items())
        return f'{encoder.width}x{encoder.height} {encoder.codec} {options}, {encoder.layout.describe()}'

    def sink(self, workplace: Workplace) -> EncodedSegments:
        """Where frames go."""
        return EncodedSegments(workplace, self.film.encoder, self.stamps, self.film.global_header)

    def finish(self, workplace: Workplace, segments: Sequence[Path], say: Callable[[str], None]) -> None:
        """Makes the output of finished segments."""
        join(self.film, segments, self.durations, say)


@dataclass(frozen=True)
class FolderOutput:
    """A folder of images to write.

    Attributes:
        folder: The folder.
        kind: Kind of image.
        layout: What samples of the output mean.
        size: Rows and columns of an image.
        stems: Names of the images, without ending.
    """

    folder: Path
    kind: ImageKind
    layout: Layout
    size: tuple[int, int]
    stems: Sequence[str] = ()

    def describe(self) -> str:
        """What it is, in a line."""
        return f'{self.size[1]}x{self.size[0]} images {self.kind.suffix}, {self.layout.depth} bit'

    def sink(self, workplace: Workplace) -> ImageSegments:
        """Where frames go."""
        part = part_of(self.folder)
        if not any(workplace.folder.glob('segment_*')):
            shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, exist_ok=True)
        return ImageSegments(workplace, part, self.kind, self.stems)

    def finish(self, workplace: Workplace, segments: Sequence[Path], say: Callable[[str], None]) -> None:
        """Gives the folder its name."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        publish(part_of(self.folder), self.folder)


def plan_folder(
    request: Request, facts: Facts, treatment: Treatment, found: Survey | None
) -> tuple[Treatment, FolderOutput, tuple[str, ...]]:
    """What is written into a folder.

    Args:
        request: What is wanted.
        facts: The input.
        treatment: What happens to frames.
        found: What the first reading found; None before it.

    Returns:
        The treatment, with the turn that images cannot carry as a tag; the output; notes.
    """
    own = facts.codec if facts.codec in _KNOWN_IMAGES else 'png'
    kind = image_kind(request.image_kind or own)
    treatment, notes = _turned(facts, treatment)
    kind.check_size(*treatment.size)
    depth = kind.depth(facts.layout.depth)
    name = 'gray' if facts.layout.kind == 'gray' else 'gbrp'
    layout = Layout(name if depth == 8 else f'{name}{depth}le', True, 0 if name == 'gbrp' else 1)
    count = 0 if found is None else len(found.stamps)
    if facts.is_film:
        stems = [f'{number:08d}' for number in range(count)]
        left_out = 'sound, subtitles and time stamps'
        notes = (*notes, f'images carry no {left_out}')
    else:
        stems = [Path(facts.names[stamp]).stem for stamp in found.stamps] if found else []
        others = {Path(name).suffix for name in facts.names if image_kind(Path(name).suffix) != kind}
        if others and request.image_kind is None:
            notes = (
                *notes,
                f'{" ".join(sorted(others))} are written as {kind.suffix}, as the first image; see --ext',
            )
    return treatment, FolderOutput(request.target, kind, layout, treatment.size, stems), notes


def plan_film(
    request: Request, facts: Facts, treatment: Treatment, found: Survey | None
) -> tuple[Treatment, FilmOutput, tuple[str, ...]]:
    """What is written into a film; see `plan_folder`.

    Raises:
        UserError: The container or the encoder cannot hold what is wanted.
    """
    notes: tuple[str, ...] = ()
    new_rate = request.rate if facts.is_film else None
    retimed = new_rate is not None
    time_base, rate = (facts.time_base, facts.rate) if new_rate is None else (1 / new_rate, new_rate)
    if _is_avi(request.target):
        # AVI counts frames
        time_base = 1 / rate
    copies: tuple[Copy, ...] = ()
    source = None
    if facts.is_film:
        source = facts.path
        leave_out = (*request.leave_out, 'audio', 'subtitle') if retimed else request.leave_out
        copies, missing = _copies(request, facts, leave_out)
        notes += missing
        if retimed:
            notes += (f'--fps {float(rate):g} changes the speed, so sound and subtitles stay behind',)
    if facts.display_matrix and not keeps_matrix(request.target):
        treatment, turned = _turned(facts, treatment)
        notes += turned
    encoder = _encoder(request, facts, treatment, time_base, rate)
    if encoder.instead_of is not None:
        notes += (f'{encoder.codec} does not take {encoder.instead_of}; the output is {encoder.layout.pixel_format}',)
    matrix = _enlarged(facts, treatment) if keeps_matrix(request.target) else ()
    film = Film(request.target, encoder, source, copies, matrix=matrix)
    notes += tuple(_matroska_notes(film))
    if found is None:
        rehearse(film)
        return treatment, FilmOutput(film), notes
    output = _timed(film, request, facts, found, retimed)
    first = found.stamps[0] * facts.time_base
    if first < 0 and output.film.shift == first:
        notes += (f'{request.target.suffix} shows nothing before zero, so all begins {-float(first):g} s later',)
    return treatment, output, notes


def _matroska_notes(film: Film) -> Iterator[str]:
    """What Matroska does not hold as exactly as the input has it."""
    if not _is_matroska(film.path):
        return
    if (film.encoder.time_base * 1000).denominator != 1 and (1000 / film.encoder.rate).denominator != 1:
        yield 'Matroska counts in milliseconds, so time stamps are rounded to them; .mp4 keeps them exactly'
    aspect = film.encoder.pixel_aspect
    if aspect != 1 and film.encoder.codec not in ('libx264', 'libx265', 'h264_nvenc', 'hevc_nvenc'):
        yield f'{film.encoder.codec} in Matroska does not say that pixels are {aspect} wide; .mov does'


def _is_avi(path: Path) -> bool:
    return path.suffix.lower() == '.avi'


def _numbered(request: Request, facts: Facts, found: Survey) -> list[int]:
    """Numbers of frames at a constant rate, for AVI has no time stamps.

    Raises:
        UserError: The rate is not constant.
    """
    places = [float(stamp * facts.time_base * facts.rate) for stamp in found.stamps]
    # as far as the whole, and for what the input had to round
    offset = places[0] - round(places[0])
    numbers = [round(place - offset) for place in places]
    away = max(abs(place - offset - number) for place, number in zip(places, numbers, strict=True))
    if away > _OFF_THE_RATE or len(set(numbers)) < len(numbers):
        raise UserError(
            f'{facts.path} has a variable frame rate, which {request.target.suffix} does not hold; name the output '
            f'.mkv, or give --fps.'
        )
    return numbers


def _is_matroska(path: Path) -> bool:
    return path.suffix.lower() in ('.mkv', '.webm')


def _timed(film: Film, request: Request, facts: Facts, found: Survey, retimed: bool) -> FilmOutput:
    if retimed:
        stamps = range(len(found.stamps))
        return FilmOutput(film, stamps, dict.fromkeys(stamps, 1))
    first = Fraction(found.stamps[0]) * facts.time_base
    last = Fraction(found.stamps[-1] + found.last_duration) * facts.time_base
    if request.start:
        film = replace(film, start=float(first), shift=first)
    if request.end is not None:
        film = replace(film, end=float(last))
    if not facts.is_film or (first < 0 and not _is_matroska(film.path)):
        film = replace(film, shift=first)
    if _is_avi(film.path):
        numbers = _numbered(request, facts, found)
        ends = [*numbers[1:], numbers[-1] + 1]
        return FilmOutput(film, numbers, {number: end - number for number, end in zip(numbers, ends, strict=True)})
    return FilmOutput(film, found.stamps, found.durations())


def _copies(request: Request, facts: Facts, leave_out: tuple[str, ...]) -> tuple[tuple[Copy, ...], tuple[str, ...]]:
    with opened(facts.path) as source:
        video = video_stream(source, facts.path).index
        copies = tuple(plan_copies(source, video, request.target, leave_out))
        return copies, tuple(describe_missing(source, video, copies, request.target))


def _encoder(request: Request, facts: Facts, treatment: Treatment, time_base: Fraction, rate: Fraction) -> Encoder:
    height, width = treatment.size
    if treatment.quarters % 2:
        facts = replace(facts, pixel_aspect=1 / facts.pixel_aspect)
    # The number of samples of chroma has to stay at least as it was.
    enlarged = treatment.height >= 2 * facts.height and treatment.width >= 2 * facts.width
    suffix = request.target.suffix.lower()
    return choose_encoder(facts, height, width, enlarged, request.wishes, time_base, rate, suffix)


def _enlarged(facts: Facts, treatment: Treatment) -> tuple[int, ...]:
    """The display matrix of a larger picture: its two shifts are in pixels."""
    matrix = list(facts.display_matrix)
    if matrix:
        matrix[6:8] = [round(shift * treatment.height / facts.height) for shift in matrix[6:8]]
    return tuple(matrix)


def _turned(facts: Facts, treatment: Treatment) -> tuple[Treatment, tuple[str, ...]]:
    """Turns the frames themselves, where the output cannot say how they are to be turned."""
    if not facts.display_matrix:
        return treatment, ()
    if facts.rotation % 90:
        raise UserError(f'{facts.path} is turned by {facts.rotation} degrees; name the output .mp4, which keeps that.')
    quarters = facts.rotation // 90 % 4
    note = f'frames are turned upright by {facts.rotation} degrees, for the output carries no such tag'
    return replace(treatment, quarters=quarters), (note,) if quarters else ()
