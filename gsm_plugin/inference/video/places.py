"""Which inputs are meant, and where their outputs go."""

import glob
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

# Containers that films are written into; films of others become .mkv.
_WRITTEN = ('.mp4', '.mov', '.mkv', '.m4v', '.webm', '.avi', '.ts')


@dataclass(frozen=True)
class Naming:
    """How outputs are called.

    Attributes:
        out: Film or folder.
        suffix: What goes behind names in a folder; None for none with images and the scale with films.
        images: Whether films become folders of images.
        scale: Enlargement, for the suffix.
    """

    out: Path
    suffix: str | None
    images: bool
    scale: float

    def target(self, source: Path, among_several: bool) -> Path:
        """Where the output of an input goes."""
        is_folder = source.is_dir()
        if self.out.suffix.lower() in IMAGE_SUFFIXES:
            raise UserError(
                f'{self.out} is the name of an image; give a folder as -o, and --ext {self.out.suffix[1:]}.'
            )
        if not among_several and self.out.suffix and not self.out.is_dir():
            return self.out
        as_images = self.images or is_folder
        if not among_several and as_images:
            return self.out
        name = source.name if is_folder else source.stem
        suffix = self.suffix if self.suffix is not None else ('' if as_images else f'x{self.scale:g}')
        name = f'{name}_{suffix}' if suffix else name
        if as_images:
            return self.out / name
        ending = source.suffix.lower() if source.suffix.lower() in _WRITTEN else '.mkv'
        return self.out / f'{name}{ending}'


def list_inputs(words: Sequence[str]) -> list[Path]:
    """Films and folders of images that words mean: paths, patterns, folders of films or of folders of images.

    Raises:
        UserError: A word means nothing, or an image.
    """
    found: list[Path] = []
    for word in words:
        found += _meant(word)
    return list(dict.fromkeys(found))


def check_targets(targets: Sequence[Path], out: Path, inputs: int) -> None:
    """Refuses outputs of one name, and one film for several inputs.

    Raises:
        UserError: There are such.
    """
    if inputs > 1 and out.suffix and not out.is_dir():
        raise UserError(f'-o {out} is one film, but there are {inputs} inputs; give a folder.')
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise UserError(f'two inputs would become {twice}; rename one, or give them folders of their own.')


def _meant(word: str) -> list[Path]:
    path = Path(word)
    if not path.exists():
        matches = sorted(Path(match) for match in glob.glob(word, recursive=True))
        if not matches:
            raise UserError(f'{word} is missing, and as a pattern it matches nothing; correct -i.')
        return matches
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        raise UserError(f'{path} is an image; name a folder of images, or a film.')
    if path.is_dir() and not _has_images(path):
        inside = sorted(child for child in path.iterdir() if not child.name.startswith('.'))
        several = [child for child in inside if child.suffix.lower() in FILM_SUFFIXES and child.is_file()]
        several += [child for child in inside if child.is_dir() and _has_images(child)]
        if not several:
            raise UserError(f'{path} has neither images nor films nor folders of images; name another folder.')
        return several
    return [path]


def _has_images(folder: Path) -> bool:
    return any(child.suffix.lower() in IMAGE_SUFFIXES and child.is_file() for child in folder.iterdir())
