"""Which inputs are meant, and where their outputs go."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.images import SUFFIXES as IMAGE_SUFFIXES

FILM_SUFFIXES = (
    '.mp4',
    '.mov',
    '.mkv',
    '.avi',
    '.webm',
    '.m4v',
    '.mpg',
    '.mpeg',
    '.ts',
    '.mts',
    '.wmv',
    '.y4m',
    '.flv',
    '.3gp',
)
"""Endings of files that are taken for films where a folder is given."""

DEFAULT_FOLDER = Path('results')
"""Where outputs go where no place is named."""

# What is not done with films, and what is.
_WAYS = {'-i': 'read from standard input', '-o': 'written to standard output'}
_PLACES = {'-i': 'read from disk', '-o': 'written to disk'}
# Containers that films are written into; films of others become .mkv.
_WRITTEN = ('.mp4', '.mov', '.mkv', '.m4v', '.webm', '.avi', '.ts')


@dataclass(frozen=True)
class Naming:
    """How outputs are called.

    Attributes:
        out: Film or folder; None for a name in `DEFAULT_FOLDER`.
        suffix: What goes behind names in a folder; None for none with images and the scale with films.
        images: Whether films become folders of images.
        several: Whether there are several inputs, so that `out` is the folder of their outputs.
    """

    out: Path | None
    suffix: str | None
    images: bool
    several: bool

    def target(self, source: Path, scale: float | None) -> tuple[Path, bool]:
        """Where the output of an input goes, and whether it is surely a folder of images.

        Args:
            source: The input.
            scale: Enlargement, for the name; None where it is not known yet, and the name is none that is used.
        """
        as_images = self.images or source.is_dir()
        if self.out is not None:
            if self.out.suffix.lower() in IMAGE_SUFFIXES:
                raise UserError(
                    f'{self.out} is the name of an image; give a folder as -o, and --ext {self.out.suffix[1:]}.'
                )
            if not self.several and (as_images or (self.out.suffix and not self.out.is_dir())):
                # of images, a name with a dot that is none of a film's, such as run_0.5, is that of a folder
                return self.out, as_images and self.out.suffix.lower() not in (*FILM_SUFFIXES, *_WRITTEN)
        folder = DEFAULT_FOLDER if self.out is None else self.out
        name = source.resolve().name if source.is_dir() else source.stem
        enlargement = 'x?' if scale is None else f'x{scale:g}'
        suffix = self.suffix if self.suffix is not None else ('' if as_images else enlargement)
        name = f'{name}_{suffix}' if suffix else name
        if as_images:
            return folder / name, True
        ending = source.suffix.lower() if source.suffix.lower() in _WRITTEN else '.mkv'
        return folder / f'{name}{ending}', False


def list_inputs(words: Sequence[str]) -> list[Path]:
    """Films and folders of images that words mean: paths, patterns, folders of films or of folders of images.

    Raises:
        UserError: A word means nothing, an image, or a folder of films and images.
    """
    found: list[Path] = []
    for word in words:
        found += _meant(word)
    return list(dict.fromkeys(found))


def check_targets(targets: Sequence[Path], out: Path | None, sources: Sequence[Path]) -> None:
    """Refuses outputs of one name or of none, and one film for several inputs.

    Raises:
        UserError: There are such.
    """
    if len(sources) > 1 and out is not None and out.suffix and not out.is_dir():
        raise UserError(f'-o {out} is one film, but there are {len(sources)} inputs; give a folder.')
    first: dict[Path, Path] = {}
    for source, target in zip(sources, targets, strict=True):
        if target in first:
            raise UserError(
                f'{first[target]} and {source} would both become {target}; rename one, or give each a command '
                f'and -o of its own.'
            )
        first[target] = source
        if target.name in ('', '..'):
            raise UserError(f'-o {target} has no name that the output could get; name a folder in it, or elsewhere.')


def check_output(out: Path) -> None:
    """Refuses what names no place on this machine's disks.

    Raises:
        UserError: It is an address, or stands for standard output.
    """
    _refuse_no_path(str(out), '-o')


def _refuse_no_path(word: str, flag: str) -> None:
    if word == '-':
        raise UserError(f'{flag} is -, but films are not {_WAYS[flag]}; name a file.')
    # a path has one slash where the address that it was had two
    if re.match('[a-z][a-z0-9+.-]+:/', word):
        raise UserError(f'{flag} {word} is an address, but films are {_PLACES[flag]}; name a file.')


def _meant(word: str) -> list[Path]:
    if not word.strip():
        raise UserError('-i is empty; name a film or a folder.')
    path = Path(word)
    if not path.exists():
        _refuse_no_path(word, '-i')
        matches = sorted(Path(match) for match in glob.glob(word, recursive=True))
        if not matches:
            raise UserError(f'{word} is missing, and as a pattern it matches nothing; correct -i.')
        image = next(filter(_is_image, matches), None)
        if image is not None:
            raise UserError(f'{word} matches {image}, an image; name a folder of images, or a pattern of films.')
        return matches
    if _is_image(path):
        raise UserError(f'{path} is an image; name a folder of images, or a film.')
    return _meant_by_folder(path) if path.is_dir() else [path]


def _meant_by_folder(folder: Path) -> list[Path]:
    """A folder of images itself, or what is in one of films and of folders of images."""
    inside = sorted(child for child in folder.iterdir() if not child.name.startswith('.'))
    films = [child for child in inside if child.suffix.lower() in FILM_SUFFIXES and child.is_file()]
    image = next(filter(_is_image, inside), None)
    if image is not None and films:
        raise UserError(
            f'{folder} has films ({films[0].name}) and images ({image.name}); name the films, as {films[0]}, or put '
            f'the images into a folder of their own.'
        )
    if image is not None:
        return [folder]
    several = films + [child for child in inside if child.is_dir() and any(map(_is_image, child.iterdir()))]
    if not several:
        raise UserError(f'{folder} has neither images nor films nor folders of images; name another folder.')
    return several


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
