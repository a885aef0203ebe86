"""The machine-readable log of a training: `train.jsonl`, a JSON object a line."""

import json
import math
from pathlib import Path

from gsm_plugin.files import whole_file


class JsonLines:
    """Appends records to a file, each whole as soon as it is written.

    A run that goes on from an iteration takes out what lies after it, which it is about to write again. So every
    iteration stands in the file once, as in a run that never stopped.

    Args:
        path: The file.
        iteration: Where the run goes on; 0 at its beginning.
    """

    def __init__(self, path: Path, iteration: int):
        self._path = path
        self.go_back_to(iteration)

    def write(self, kind: str, iteration: int, **values: object) -> None:
        """Appends a record.

        Args:
            kind: What it tells of: start, resume, train, validation, rollback, stop or end.
            iteration: Iterations done.
            values: Numbers, texts, lists and None; numbers that JSON does not know become None.
        """
        record = {'kind': kind, 'iter': iteration, **{key: _jsonable(value) for key, value in values.items()}}
        with open(self._path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(record) + '\n')

    def go_back_to(self, iteration: int) -> None:
        """Takes out all records after an iteration, and its validation, which follows the checkpoint."""
        if not self._path.exists():
            return
        with (
            open(self._path, encoding='utf-8', errors='replace') as old,
            whole_file(self._path) as part,
            open(part, 'w', encoding='utf-8') as new,
        ):
            new.writelines(line for line in old if _is_before(line, iteration))


def has_ended(path: Path, iteration: int) -> bool:
    """Whether a file of records says that a run of so many iterations, or of more, came to its end."""
    if not path.is_file():
        return False
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    return any(_tells_the_end(line, iteration) for line in lines[-1:])


def _tells_the_end(line: str, iteration: int) -> bool:
    try:
        record = json.loads(line)
        return record['kind'] == 'end' and record['iter'] >= iteration
    except (ValueError, KeyError, TypeError):
        # cut off
        return False


def _is_before(line: str, iteration: int) -> bool:
    try:
        record = json.loads(line)
        return record['iter'] < iteration or (record['iter'] == iteration and record['kind'] == 'train')
    except (ValueError, KeyError, TypeError):
        # Cut off, when the run was killed.
        return False


def _jsonable(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_jsonable(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
