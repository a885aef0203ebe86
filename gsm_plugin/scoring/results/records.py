"""Result records: what a network scored on which clips, with everything that the figures depend on, as JSON."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gsm_plugin.compat.finite_psnr import LARGEST_PSNR
from gsm_plugin.data.protocols import Protocol
from gsm_plugin.errors import UserError
from gsm_plugin.files import write_whole
from gsm_plugin.scoring.results.averages import finite_mean, note_of

_FORMAT = 1
# float32 on another machine adds up in another order.
_SAME = 1e-3


@dataclass(frozen=True)
class ClipResult:
    """What a network scored on a clip.

    Attributes:
        frames: Names of the scored frames.
        values: By metric, the value of each of them; of temporal ones, of each two consecutive ones.
        shown: LQ frames that were restored.
        seconds: Wall clock for them.
        peak_gib: Peak memory, GiB; None where it is not known.
        data: Fingerprint of the clip's files.
        machine: Number of the machine in the record.
    """

    frames: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    shown: int
    seconds: float
    peak_gib: float | None
    data: str
    machine: int = 0

    def mean(self, metric: str) -> float:
        """Mean over the frames that have a value; NaN where none has one."""
        return finite_mean(self.values[metric])

    def with_values_of(self, other: 'ClipResult') -> 'ClipResult':
        """The result, with what another one of the same files has beyond its metrics."""
        return replace(self, values={**other.values, **self.values})


@dataclass(frozen=True)
class Record:
    """The results of a network under a protocol; those of several machines can be merged.

    Attributes:
        network: Its label in tables.
        settings: What was run: `network_g`, the keys of `val`, precision, file of weights and its SHA-256.
        protocol: The protocol and the degradation.
        parameters: Number of parameters.
        multiply_adds: For each LQ pixel of an output frame; None where it was not counted.
        lq_size: Height and width of the LQ frames of the first clip.
        machines: Where results come from: device, versions, commit.
        clips: By name.
    """

    network: str
    settings: dict
    protocol: dict
    parameters: int
    multiply_adds: float | None
    lq_size: tuple[int, int]
    machines: tuple[dict, ...]
    clips: dict[str, ClipResult] = field(default_factory=dict)

    def with_clip(self, name: str, result: ClipResult) -> 'Record':
        """The record with one more clip."""
        return replace(self, clips={**self.clips, name: result})

    @property
    def precision(self) -> str:
        """What was computed in; records from before there was a choice are of float32."""
        return self.settings.get('precision', 'fp32')

    def only(self, names: Iterable[str]) -> 'Record':
        """The record with these clips alone."""
        return replace(self, clips={name: self.clips[name] for name in names})

    def fits(self, other: 'Record') -> bool:
        """Whether both are of the same network, weights, settings and protocol, so that clips can be shared."""
        mine, others = ({**record.settings, 'precision': record.precision} for record in (self, other))
        return (mine, self.protocol) == (others, other.protocol)

    def is_complete(self, protocol: Protocol) -> bool:
        """Whether all of a leaderboard was scored."""
        return protocol.is_complete({name: len(clip.frames) for name, clip in self.clips.items()})

    def scored_by(self, metric: str) -> list[ClipResult]:
        """The clips that have a metric; all have PSNR and SSIM."""
        return [clip for clip in self.clips.values() if metric in clip.values]

    def mean(self, metric: str) -> float:
        """Mean over clips of the means over frames."""
        return finite_mean(clip.mean(metric) for clip in self.scored_by(metric))

    def notes(self) -> list[str]:
        """A sentence for each clip and metric of which means count frames otherwise than they are, or not at all."""
        notes = [
            (name, note_of(metric, clip.frames, values))
            for name, clip in self.clips.items()
            for metric, values in clip.values.items()
        ]
        return [f'{self.network}, clip {name}: {note}.' for name, note in notes if note is not None]

    def speed(self) -> tuple[float, float | None, dict]:
        """Frames per second and peak memory (GiB), of the machine that did most, and that machine."""
        numbers = [clip.machine for clip in self.clips.values()]
        number = max(set(numbers), key=numbers.count)
        own = [clip for clip in self.clips.values() if clip.machine == number]
        peaks = [clip.peak_gib for clip in own if clip.peak_gib is not None]
        fps = sum(clip.shown for clip in own) / sum(clip.seconds for clip in own)
        return fps, max(peaks, default=None), self.machines[number]


def as_read(content: dict) -> dict:
    """Content as it comes back from a file, where tuples have become lists, so that it can be compared."""
    return json.loads(json.dumps(content))


def write_record(record: Record, path: Path) -> None:
    """Writes a record; the file is replaced when the new one is complete."""
    content = {'format': _FORMAT, **asdict(record)}
    path.parent.mkdir(parents=True, exist_ok=True)
    # JSON has no number for it.
    content = _map_floats(content, lambda value: 'inf' if value == math.inf else value)
    write_whole(path, json.dumps(content, indent=1).encode())


def read_record(path: Path) -> Record:
    """Reads a record.

    Raises:
        UserError: The file is none.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'), parse_constant=float)
        if content.pop('format') != _FORMAT:
            raise ValueError('another format')
        clips = {name: _clip(**entry) for name, entry in content.pop('clips').items()}
        lq_size, machines = tuple(content.pop('lq_size')), tuple(content.pop('machines'))
        return Record(clips=clips, lq_size=lq_size, machines=machines, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{path} is no result record ({type(error).__name__}); remove it, or name another.') from error


def merge_records(records: Iterable[Record]) -> list[Record]:
    """Joins the records that fit each other.

    Args:
        records: Of any networks, at most one set of settings for each label and protocol.

    Returns:
        One record for each network, in the order of first appearance.

    Raises:
        UserError: Records of one label do not fit each other, or give different values for a clip.
    """
    merged: dict[str, Record] = {}
    for record in records:
        merged[record.network] = _join(merged[record.network], record) if record.network in merged else record
    return list(merged.values())


def _join(first: Record, second: Record) -> Record:
    if not first.fits(second):
        raise UserError(
            f'Two records of {first.network} differ in {_difference(first, second)}; give one of the networks another '
            f'label, or leave one record out.'
        )
    offset = len(first.machines)
    clips = dict(first.clips)
    for name, clip in second.clips.items():
        if name in clips:
            _check_same(first.network, name, clips[name], clip)
            clips[name] = clips[name].with_values_of(clip)
        else:
            clips[name] = replace(clip, machine=clip.machine + offset)
    counted = first.multiply_adds if first.multiply_adds is not None else second.multiply_adds
    return replace(first, clips=clips, machines=first.machines + second.machines, multiply_adds=counted)


def _check_same(network: str, name: str, first: ClipResult, second: ClipResult) -> None:
    if first.data != second.data:
        raise UserError(f'Two records of {network} have clip {name} of other files; check which data set is right.')
    for metric in first.values.keys() & second.values.keys():
        pairs = zip(first.values[metric], second.values[metric], strict=False)
        if first.frames != second.frames or any(abs(a - b) > _SAME for a, b in pairs if a != b):
            raise UserError(
                f'Two records of {network} have different {metric} for clip {name}; run it again and remove the wrong '
                f'record.'
            )


def _difference(first: Record, second: Record) -> str:
    if first.precision != second.precision:
        return f'precision ({first.precision} and {second.precision})'
    for kind in ('settings', 'protocol'):
        a, b = getattr(first, kind), getattr(second, kind)
        for key in [*a, *b]:
            if a.get(key) != b.get(key):
                return f'{key} ({a.get(key)} and {b.get(key)})'
    raise AssertionError('The records fit each other.')


def _clip(frames: list, values: Mapping[str, list], **rest: Any) -> ClipResult:
    read = {name: tuple(map(float, row)) for name, row in values.items()}
    if 'psnr' in read:
        # Records of earlier versions have equal images as infinite.
        read['psnr'] = tuple(min(value, LARGEST_PSNR) for value in read['psnr'])
    return ClipResult(tuple(frames), read, **rest)


def _map_floats(content: object, change: Callable[[float], object]) -> Any:
    if isinstance(content, Mapping):
        return {key: _map_floats(value, change) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_map_floats(value, change) for value in content]
    return change(content) if isinstance(content, float) else content
