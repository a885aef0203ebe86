"""Clips as folders of images or as a BasicSR LMDB, read one frame at a time."""

import itertools
import os
from pathlib import Path

import lmdb
import numpy as np

from gsm_plugin.compat.image_files import ImageHeader, decode_image, read_header, read_image, to_unit
from gsm_plugin.compat.whole_lmdb import require_whole
from gsm_plugin.data.clip_names import IMAGE_SUFFIXES, is_hidden, is_image_name, natural_key
from gsm_plugin.data.lmdb_list import LIST_NAME, read_lmdb_list
from gsm_plugin.errors import UserError

# py-lmdb refuses to open a database twice in one process, as a training and a validation set on the same LMDB would;
# BasicSR's FileClient opens it once per dataset. One environment per database and process: root -> (pid, environment).
_ENVIRONMENTS: dict[str, tuple[int, lmdb.Environment]] = {}


class FolderSource:
    """Clips as folders of images: `root/<clip>/<frame>.png`.

    A root that contains images itself is one clip.

    Args:
        root: Folder with one subfolder per clip. Hidden files and folders are passed over.
        clips: Names of the clips to take, as paths below the root; None takes every subfolder.
        lone_name: Name of the clip where the root contains the images itself; None takes the root's name.

    Raises:
        UserError: The root or a named clip does not exist, or holds no images; the root holds images and also folders;
            or two images of one clip share a stem.
    """

    def __init__(self, root: str | Path, clips: list[str] | None = None, lone_name: str | None = None):
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(f'The folder {self.root} does not exist; correct the dataroot in the option file.')
        self._paths = {name: _frames_of(folder) for name, folder in self._clip_folders(clips, lone_name).items()}
        self.frames = {clip: [path.stem for path in paths] for clip, paths in self._paths.items()}

    def where(self, clip: str, frame: int) -> str:
        """Names a frame for messages: the path of its file."""
        return str(self._paths[clip][frame])

    def header(self, clip: str, frame: int) -> ImageHeader:
        """What the header of a frame's file tells."""
        return read_header(self._paths[clip][frame])

    def read(self, clip: str, frame: int) -> np.ndarray:
        """Reads a frame: (h, w, 3), float32, BGR, in [0, 1]."""
        return to_unit(read_image(self._paths[clip][frame]))

    def _clip_folders(self, clips: list[str] | None, lone_name: str | None) -> dict[str, Path]:
        images, folders = _visible(self.root)
        if clips is None and images and folders:
            raise UserError(
                f'{self.root} has images ({images[0]}) beside folders ({folders[0]}), so it is unclear which '
                f'are the clips; move the images away, or name the folders in meta_info_file.'
            )
        if clips is None and images:
            return {lone_name or self.root.resolve().name: self.root}
        names = sorted(folders, key=natural_key) if clips is None else clips
        if not names:
            raise UserError(f'{self.root} has neither images nor folders of images; correct the dataroot.')
        return {name: self.root / name for name in names}


class LmdbSource:
    """Clips in an LMDB of BasicSR's layout: encoded images under keys `clip/00000000`, listed in `meta_info.txt`.

    The database is opened at the first read, once in every process, so the source can be sent to workers.

    Args:
        root: Folder of the LMDB, with `data.mdb` and `meta_info.txt`.
        clips: Names of the clips to take; None takes all that meta_info.txt lists.

    Raises:
        UserError: `data.mdb` or `meta_info.txt` is missing, a line of meta_info.txt does not parse, or a named clip is
            not listed.
    """

    def __init__(self, root: str | Path, clips: list[str] | None = None):
        self.root = Path(root).expanduser()
        for name in ('data.mdb', LIST_NAME):
            if not (self.root / name).is_file():
                raise UserError(
                    f'{self.root} has no {name}; make it with basicsr data lmdb create, or set io_backend type: disk.'
                )
        listed = self._read_meta_info()
        missing = [clip for clip in clips or [] if clip not in listed]
        if missing:
            raise UserError(
                f'Clip {missing[0]} of meta_info_file is not in {self.root / LIST_NAME}; '
                f'take it out of meta_info_file, or build the LMDB with it.'
            )
        names = sorted(listed, key=natural_key) if clips is None else clips
        self._shapes = {
            clip: dict(sorted(listed[clip].items(), key=lambda item: natural_key(item[0]))) for clip in names
        }
        self.frames = {clip: list(shapes) for clip, shapes in self._shapes.items()}

    def where(self, clip: str, frame: int) -> str:
        """Names a frame for messages: its key and database."""
        return f'key {clip}/{self.frames[clip][frame]} of {self.root}'

    def header(self, clip: str, frame: int) -> ImageHeader:
        """What meta_info.txt tells of a frame; what an LMDB holds has been turned as EXIF said."""
        height, width, channels = self._shapes[clip][self.frames[clip][frame]]
        return ImageHeader(height, width, channels, has_alpha=channels == 4, orientation=1)

    def read(self, clip: str, frame: int) -> np.ndarray:
        """Reads a frame: (h, w, 3), float32, BGR, in [0, 1]."""
        key = f'{clip}/{self.frames[clip][frame]}'
        try:
            with _environment(self.root).begin() as transaction:
                content = transaction.get(key.encode())
        except lmdb.Error as error:
            raise UserError(f'{self.where(clip, frame)} cannot be read ({error}); make the LMDB again.') from error
        if content is None:
            raise UserError(
                f'The database {self.root} has no key {key}, which its meta_info.txt lists; build the LMDB again.'
            )
        return to_unit(decode_image(bytes(content), self.where(clip, frame)))

    def _read_meta_info(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        listed: dict[str, dict[str, tuple[int, int, int]]] = {}
        for key, shape in read_lmdb_list(self.root).items():
            clip, _, frame = key.rpartition('/')
            if not clip:
                raise UserError(
                    f'{self.root / LIST_NAME} lists the key {key}; keys of the LMDB must be clip/frame, '
                    f'so make it from a folder with one subfolder per clip.'
                )
            listed.setdefault(clip, {})[frame] = shape
        return listed


FrameSource = FolderSource | LmdbSource


def _frames_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f'The clip folder {folder} does not exist; correct the dataroot or meta_info_file.')
    paths = sorted((folder / name for name in _visible(folder)[0]), key=lambda path: natural_key(path.stem))
    if not paths:
        raise UserError(
            f'The clip folder {folder} has no images ({" ".join(IMAGE_SUFFIXES)}); remove it, or name the wanted '
            f'folders in meta_info_file.'
        )
    for first, second in itertools.pairwise(paths):
        if first.stem == second.stem:
            raise UserError(f'{first} and {second.name} are the same frame twice; remove one of them.')
    return paths


def _visible(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the images and of the folders in a folder, without hidden ones; a folder called x.png is no image."""
    try:
        with os.scandir(folder) as entries:
            visible = {entry.name: entry.is_dir() for entry in entries if not is_hidden(entry.name)}
    except OSError as error:
        raise UserError(f'{folder} cannot be read ({error.strerror}); correct its permissions.') from error
    images = [name for name, is_folder in visible.items() if not is_folder and is_image_name(name)]
    return images, [name for name, is_folder in visible.items() if is_folder]


def _environment(root: Path) -> lmdb.Environment:
    key, pid = str(root.resolve()), os.getpid()
    owner, environment = _ENVIRONMENTS.get(key, (pid, None))
    if environment is not None and owner != pid:
        # LMDB forbids the use of an environment across a fork.
        environment.close()
        environment = None
    if environment is None:
        environment = _open_whole(key)
        _ENVIRONMENTS[key] = (pid, environment)
    return environment


def _open_whole(path: str) -> lmdb.Environment:
    try:
        environment = lmdb.open(path, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as error:
        raise UserError(f'{path} is no whole LMDB ({error}); copy or make it again.') from error
    try:
        require_whole(environment)
    except ValueError:
        environment.close()
        raise
    return environment
