"""What a study is: variants as overrides of one option file, seeds, and the clips that decide."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.data.degradations import DEGRADATIONS
from gsm_plugin.errors import UserError
from gsm_plugin.metrics.measures import MEASURES
from gsm_plugin.options.nearest import nearest
from gsm_plugin.options.reading import read_options

_KEYS = ('name', 'options', 'seeds', 'overrides', 'variants', 'score')
_SCORE_KEYS = ('clips', 'degradation', 'frames', 'shrink', 'metrics')


@dataclass(frozen=True)
class Run:
    """One training of a study.

    Attributes:
        variant: What it is a training of.
        seed: Its `manual_seed`.
        name: Of the experiment.
        options: The whole option file.
    """

    variant: str
    seed: int
    name: str
    options: dict

    @property
    def weights(self) -> Path:
        """Where the training leaves its weights."""
        return Path('experiments', self.name, 'models', 'net_g_latest.pth')

    @property
    def log(self) -> Path:
        """Its machine-readable log."""
        return Path('experiments', self.name, 'train.jsonl')


@dataclass(frozen=True)
class Score:
    """What the trained networks are scored on, as `basicsr compare` does.

    Attributes:
        clips: A folder of ground truth, a folder of frames a clip.
        degradation: How LQ frames are made.
        frames: The first frames of each clip; None for all.
        shrink: By how much the ground truth is made smaller first.
        metrics: Besides PSNR and SSIM.
    """

    clips: Path
    degradation: str = 'bi'
    frames: int | None = None
    shrink: int = 1
    metrics: Sequence[str] = ()


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        name: Of its folder below `results/study`, and in front of each experiment's name.
        variants: Their names, the base first.
        seeds: In order.
        runs: All trainings, seed by seed, so that an interrupted study has whole comparisons.
        score: What decides.
    """

    name: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    score: Score

    @property
    def base(self) -> str:
        """The variant that the others are compared with."""
        return self.variants[0]

    @property
    def folder(self) -> Path:
        """Where option files, records and tables go."""
        return Path('results', 'study', self.name)


def read_study(path: Path) -> Study:
    """Reads a study and makes the option file of each of its trainings, without writing anything.

    Args:
        path: YAML with `name`, `options` (the option file that variants change), `seeds`, `overrides` (for all
            variants), `variants` (by name, the base first) and `score`.

    Raises:
        UserError: A key is missing, unknown or wrong, or the option file cannot be read.
    """
    if path.is_dir():
        raise UserError(f'The study {path} is a folder; name a YAML file.')
    if not path.is_file():
        raise UserError(f'The study {path} does not exist; name its YAML file, such as options/study_gsm_findings.yml.')
    content = read_options(str(path))
    _check_keys(path, content, _KEYS, required=('name', 'options', 'seeds', 'variants', 'score'))
    variants, seeds = content['variants'], content['seeds']
    if not isinstance(variants, Mapping) or len(variants) < 2:
        raise UserError(f'{path}: variants is {variants!r}; give two at least by name, the base first.')
    if (
        not isinstance(seeds, list)
        or len({*map(str, seeds)}) != len(seeds)
        or not all(map(_is_seed, seeds))
        or not seeds
    ):
        raise UserError(f'{path}: seeds is {seeds!r}; give a list of different whole numbers, such as [0, 1, 2].')
    if not Path(str(content['options'])).is_file():
        raise UserError(f'{path}: options is {content["options"]}, which does not exist; name an option file.')
    base = read_options(str(content['options']))
    shared = merged(base, content.get('overrides') or {}, f'{path}: overrides')
    runs = []
    for seed in seeds:
        for variant, overrides in variants.items():
            options = merged(shared, overrides or {}, f'{path}: variants:{variant}')
            name = f'study_{content["name"]}_{_word(variant)}_seed{seed}'
            runs.append(Run(variant, seed, name, {**options, 'name': name, 'manual_seed': seed}))
    if len({run.name for run in runs}) < len(runs):
        raise UserError(f'{path}: two variants have names that differ in no letter or digit; rename one.')
    return Study(content['name'], tuple(variants), tuple(seeds), tuple(runs), _read_score(path, content['score']))


def check_clips(study: Study) -> None:
    """Refuses clips that are not there.

    Raises:
        UserError: They are not.
    """
    if not study.score.clips.exists():
        raise UserError(f'{study.name}: score:clips is {study.score.clips}, which does not exist; correct the path.')


def merged(options: Mapping, overrides: Mapping, where: str) -> dict:
    """Option files with other values: mappings are merged key by key, all else is replaced.

    Raises:
        UserError: A mapping would become a value, or a value a mapping.
    """
    if not isinstance(overrides, Mapping):
        raise UserError(
            f'{where} is {overrides!r}; give keys as in the option file, such as network_g: {{pa_frame: 1}}.'
        )
    result = copy.deepcopy(dict(options))
    for key, value in overrides.items():
        there = result.get(key)
        if isinstance(there, Mapping) and not isinstance(value, Mapping):
            raise UserError(f'{where}:{key} is {value!r}, but has keys in the option file; override these.')
        result[key] = merged(there or {}, value, f'{where}:{key}') if isinstance(value, Mapping) else value
    return result


def _read_score(path: Path, score: object) -> Score:
    if not isinstance(score, Mapping):
        raise UserError(f'{path}: score is {score!r}; give at least its key clips, a folder of ground truth.')
    _check_keys(path, score, _SCORE_KEYS, required=('clips',), section='score:')
    if not isinstance(score['clips'], str):
        raise UserError(f'{path}: score:clips is {score["clips"]!r}; give a folder of ground truth.')
    found = Score(**{**score, 'clips': Path(score['clips']).expanduser()})
    if found.degradation not in tuple(DEGRADATIONS):
        raise UserError(f'{path}: score:degradation is {found.degradation!r}; give one of {", ".join(DEGRADATIONS)}.')
    for key in ('frames', 'shrink'):
        value = getattr(found, key)
        if not (type(value) is int and value > 0) and not (key == 'frames' and value is None):
            raise UserError(f'{path}: score:{key} is {value!r}; give a whole number from 1 up.')
    if not isinstance(found.metrics, list | tuple) or not all(one in tuple(MEASURES) for one in found.metrics):
        raise UserError(f'{path}: score:metrics is {found.metrics!r}; give a list, of {", ".join(MEASURES)}.')
    return found


def _check_keys(path: Path, content: Mapping, known: Sequence[str], required: Sequence[str], section: str = '') -> None:
    for key in content:
        if key not in known:
            raise UserError(f'{path}: {section}{key} is no key of a study; did you mean {nearest(key, known)}?')
    for key in required:
        if content.get(key) is None:
            raise UserError(f'{path}: {section}{key} is missing; a study has {", ".join(known)}.')


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _word(variant: str) -> str:
    """A name as part of a file name."""
    return ''.join(letter if letter.isalnum() else '_' for letter in str(variant))
