"""One damaged frame ends a training of weeks, and what BasicSR's sets raise then names neither the file nor a cure.

A missing file of an LMDB and an image that cannot be decoded are `None` there, and fail later as an AttributeError.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Protocol, TypeVar

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError

KEY = 'bad_samples'
"""Where a sample tells of those that it replaces: sentences, one a line, or an empty text."""

Result = TypeVar('Result')

_MOST_IN_A_ROW = 10
_SKIP = ' To go on without it, set datasets: train: on_bad_sample: skip.'
_last_read = ''


class BadSample(UserError):
    """A sample cannot be read.

    Args:
        text: One sentence, or the traceback of a worker process that ends in it, as PyTorch hands it on.
    """

    def __init__(self, text: str):
        super().__init__(text.rsplit(f'{BadSample.__name__}: ', 1)[-1].strip())


class Samples(Protocol):
    """A data set of dictionaries, of which more is not asked here."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict: ...


class GuardedSamples:
    """A data set whose failures name the file; those of a training set may be replaced by other samples.

    Where samples are replaced, every one has the text `bad_samples`. Which one comes instead depends on the index
    alone, so that a resumed run sees the same.

    Args:
        dataset: The data set, of dictionaries.
        name: What messages call it.
        skip: Whether to replace a sample that cannot be read; None where none may be replaced, as in validation.
    """

    def __init__(self, dataset: Samples, name: str, skip: bool | None):
        self.dataset = dataset
        self._name = name
        self._skip = skip

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, attribute: str) -> object:
        # Whatever else the set has; not while it is being unpickled, when it has nothing yet.
        if attribute.startswith('__') or attribute == 'dataset':
            raise AttributeError(attribute)
        value = getattr(self.dataset, attribute)
        return functools.partial(self._read, value) if attribute == 'read_gt' else value

    def __getitem__(self, index: int) -> dict:
        """Reads a sample.

        Raises:
            BadSample: It cannot be read, and neither can those that would replace it.
        """
        bad = []
        # Far from each other, since neighbours have frames in common: the golden section of the set.
        stride = max(1, round(0.618 * len(self)))
        for attempt in range(_MOST_IN_A_ROW):
            try:
                sample = self._read(self.dataset.__getitem__, (index + attempt * stride) % len(self))
            except BadSample as error:
                if not self._skip:
                    advice = '' if self._skip is None else _SKIP
                    raise BadSample(f'{error}{advice}') from error
                bad.append(str(error))
            else:
                return {**sample, KEY: '\n'.join(bad)} if self._skip else sample
        raise BadSample(f'{_MOST_IN_A_ROW} samples one after another cannot be read, so none replaces them. {bad[-1]}')

    def _read(self, read: Callable[..., Result], *place: int) -> Result:
        _note_reading('')
        try:
            return read(*place)
        except _reading_errors() as error:
            raise BadSample(f'Data set {self._name}: {_describe(error)}') from error


def patch_builder(data: ModuleType) -> None:
    """Guards the sets that `build_dataset` makes."""
    original = data.build_dataset

    @replaces(data)
    def build_dataset(dataset_opt):
        dataset = original(dataset_opt)
        skip = dataset_opt.get('on_bad_sample') == 'skip' if dataset_opt.get('phase') == 'train' else None
        return GuardedSamples(dataset, dataset_opt['name'], skip)


def patch_file_client(file_client: ModuleType) -> None:
    """Remembers what was read last, and refuses what an LMDB does not have."""
    original = file_client.FileClient.get

    @replaces(file_client.FileClient)
    def get(self, filepath, client_key='default'):
        where = str(filepath)
        if self.backend == 'lmdb':
            where = f'key {filepath} of {self.client._client[client_key].path()}'
        _note_reading(where)
        try:
            content = original(self, filepath, client_key)
        except OSError as error:
            from gsm_plugin.compat.image_files import no_file

            raise no_file(filepath, error) from error
        if content is None:
            raise LookupError(f'{where} does not exist; make the LMDB again, or correct meta_info_file.')
        return content


def patch_model(video_base_model: ModuleType) -> None:
    """Lets the video models log and count what was replaced in the batches that they are fed."""
    original = video_base_model.VideoBaseModel.feed_data

    @replaces(video_base_model.VideoBaseModel)
    def feed_data(self, data):
        for sentence in '\n'.join(data.get(KEY, ())).split('\n'):
            if sentence:
                self.bad_samples = getattr(self, 'bad_samples', 0) + 1
                # As an error, since the other processes of a distributed run log nothing less.
                video_base_model.get_root_logger().error(f'Bad sample {self.bad_samples}, replaced: {sentence}')
        original(self, data)


def last_read() -> str:
    """What BasicSR's file client read last for the sample that is being read; '' where it read nothing."""
    return _last_read


@functools.cache
def _reading_errors() -> tuple[type[Exception], ...]:
    import cv2
    import lmdb

    return OSError, ValueError, LookupError, cv2.error, lmdb.Error


def _note_reading(where: str) -> None:
    global _last_read
    _last_read = where


def _describe(error: Exception) -> str:
    text = ' '.join(str(error).split())
    named = f'{_last_read}: {text}' if _last_read and _last_read not in text else text
    return named if named.endswith('.') else f'{named}.'
