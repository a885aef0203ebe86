"""Reads what a training has logged: JSON lines, or the text log of BasicSR, as curves over iterations."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gsm_plugin.data.videos import VIDEO_SUFFIXES
from gsm_plugin.errors import UserError

JSON_LINES = 'train.jsonl'
"""Name of the log in the folder of an experiment, one object a line.

`{"kind": "train", "iter": 100, "epoch": 0, "lr": [2e-4], "losses": {"l_pix": 0.1}, "grad_norm": 0.3, "time": 0.5,
"data_time": 0.01}` and `{"kind": "val", "iter": 100, "dataset": "REDS4", "metrics": {"psnr": 30.1}}`. Losses and
metrics may also stand beside the rest, and the names may be `lrs` and `validation`.
"""

# What stands beside losses and metrics where they have no section of their own.
_NO_LOSSES = ('kind', 'iter', 'epoch', 'lr', 'lrs', 'grad_norm', 'dataset', 'it_per_s', 'memory_gib')

_TEXT_LOGS = 'train_*.log'
# Bytes by which text is told from pictures, films and weights.
_BEGINNING = 1024
_TRAIN_LINE = re.compile(r'\[epoch: *\d+, iter: *([\d,]+), lr:\(([^)]*)\)\](?: *\[[^\]]*\])? *(.*)')
_VAL_LINE = re.compile(r'INFO: Validation (.+)')
_METRIC_LINE = re.compile(r'\s+# ([^:\s]+): (\S+)')
_VALUE = re.compile(r'([^\s:]+): (\S+)')

Curve = dict[int, float]


@dataclass
class TrainingLog:
    """The curves of a training, each a value by iteration; where one was logged twice after a resume, the later.

    Values that were no numbers are NaN or infinite, those that the JSON lines have as null too.

    Attributes:
        name: What the run is called.
        losses: By name of the loss.
        metrics: By name of the metric, then of the data set.
        lr: Learning rate of the first group of parameters.
        grad_norm: Norm of the gradient.
        damaged: Number of lines that could not be read.
    """

    name: str
    losses: dict[str, Curve] = field(default_factory=lambda: defaultdict(dict))
    metrics: dict[str, dict[str, Curve]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))
    lr: Curve = field(default_factory=dict)
    grad_norm: Curve = field(default_factory=dict)
    damaged: int = 0

    def gaps(self) -> dict[str, tuple[int, int]]:
        """By curve, of those that have any, how many points are no numbers, and how many there are."""
        curves = dict(self.losses)
        curves |= {f'{name} on {data}': curve for name, sets in self.metrics.items() for data, curve in sets.items()}
        curves |= {'learning rate': self.lr, 'gradient norm': self.grad_norm}
        bad = {name: sum(not math.isfinite(value) for value in curve.values()) for name, curve in curves.items()}
        return {name: (count, len(curves[name])) for name, count in bad.items() if count}


def read_training_log(path: str | Path) -> TrainingLog:
    """Reads the log of an experiment.

    Args:
        path: Its folder, its name below `experiments`, or a log file. In a folder the JSON lines are preferred to the
            text logs, of which there is one for each start of the training.

    Raises:
        UserError: There is no log, or nothing in it.
    """
    files, name = _find(Path(path))
    log = TrainingLog(name)
    for file in files:
        lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
        (_read_json_lines if file.suffix == '.jsonl' else _read_text)(lines, log)
    if not (log.losses or log.metrics):
        raise UserError(
            f'{files[0]} has neither losses nor metrics; name a log of a training, or if this one has just begun, wait '
            f'for logger: print_freq iterations.'
        )
    return log


def _find(path: Path) -> tuple[list[Path], str]:
    below = Path('experiments') / path
    folder = path if path.exists() else below
    if folder.is_file() and _is_text(folder):
        return [folder], folder.parent.name or folder.stem
    files = [folder / JSON_LINES] if (folder / JSON_LINES).is_file() else sorted(folder.glob(_TEXT_LOGS))
    if not files:
        what = f'has neither {JSON_LINES} nor {_TEXT_LOGS}' if folder.is_dir() else 'does not exist'
        if folder.is_file():
            kind = 'a film' if folder.suffix.lower() in VIDEO_SUFFIXES else 'no text'
            what = f'is {kind}, and no log of a training'
        # weights that are got lie there too
        known = sorted(
            {file.parent.name for kind in (JSON_LINES, _TEXT_LOGS) for file in Path('experiments').glob(f'*/{kind}')}
        )
        there = f' ({", ".join(known)})' if known else ''
        raise UserError(f'{path} {what}; name an experiment{there}, its folder or a log file.')
    return files, folder.resolve().name


def _is_text(file: Path) -> bool:
    with file.open('rb') as content:
        return b'\0' not in content.read(_BEGINNING)


def _read_json_lines(lines: list[str], log: TrainingLog) -> None:
    for line in filter(str.strip, lines):
        try:
            entry = json.loads(line)
            kind, iteration = entry['kind'], int(entry['iter'])
            if kind == 'train':
                rates = entry.get('lr', entry.get('lrs')) or [None]
                if rates != [None]:
                    _add(log.lr, iteration, rates[0])
                if 'grad_norm' in entry:
                    _add(log.grad_norm, iteration, entry['grad_norm'])
                for name, value in _section(entry, 'losses').items():
                    _add(log.losses[name], iteration, value)
            elif kind in ('val', 'validation'):
                for name, value in _section(entry, 'metrics').items():
                    _add(log.metrics[name][str(entry['dataset'])], iteration, value)
        except (ValueError, KeyError, TypeError, AttributeError):
            # The last line of a run that was killed is often a half one.
            log.damaged += 1


def _section(entry: dict, name: str) -> dict[str, float | None]:
    if name in entry:
        return entry[name]
    # Names of times end in their unit.
    return {key: value for key, value in entry.items() if key not in _NO_LOSSES and not key.endswith(('time', '_s'))}


def _add(curve: Curve, iteration: int, value: float | None) -> None:
    # JSON has no word for what is no number
    curve[iteration] = math.nan if value is None else float(value)


def _read_text(lines: list[str], log: TrainingLog) -> None:
    iteration, dataset = 0, None
    for line in lines:
        if match := _TRAIN_LINE.search(line):
            iteration, dataset = int(match[1].replace(',', '')), None
            log.lr[iteration] = float(match[2].split(',')[0])
            for name, value in _numbers(match[3]):
                log.losses[name][iteration] = value
        elif match := _VAL_LINE.search(line):
            dataset = match[1].strip()
        elif dataset is not None and (match := _METRIC_LINE.match(line)):
            # The text does not say at which iteration; the last one that was logged is the nearest that is known.
            log.metrics[match[1]][dataset][iteration] = float(match[2])
        elif not line.startswith((' ', '\t')):
            dataset = None


def _numbers(text: str) -> Iterator[tuple[str, float]]:
    for name, value in _VALUE.findall(text):
        try:
            yield name, float(value)
        except ValueError:
            continue
