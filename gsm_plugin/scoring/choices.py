"""From what the user writes behind --networks to networks that are ready to run."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY

from gsm_plugin.data.videos import VIDEO_SUFFIXES
from gsm_plugin.errors import UserError
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.options.names import is_known
from gsm_plugin.options.nearest import nearest
from gsm_plugin.options.paths import cure_for_missing_path
from gsm_plugin.options.reading import read_options
from gsm_plugin.options.together import enlargement
from gsm_plugin.scoring.known_networks import KNOWN_NETWORKS
from gsm_plugin.scoring.results.records import as_read
from gsm_plugin.weights.download import sha256_of
from gsm_plugin.weights.finding import path_of
from gsm_plugin.weights.known_files import find_weights

WEIGHTS_FOLDER = Path('experiments', 'pretrained_models')
# What an option file's section `val` says about running a network; the rest of it is about scoring and saving.
_VAL_KEYS = ('precision', 'tile', 'tile_overlap', 'smallest_side', 'multiple_of', 'window', 'flip_seq', 'use_ema')


@dataclass(frozen=True)
class Choice:
    """A network that the user has chosen.

    Attributes:
        label: Its name in tables and files.
        network_g: The section of an option file.
        val: Keys of `val` that say how it is run.
        weights: File of weights; None for a network without any.
        param_key: Which weights of the file; None takes the averaged ones, or those that are there.
        lengths: See `KnownNetwork`.
        file: The option file that it comes from; None for a known network.
        scale: The enlargement that the option file states, if any.
    """

    label: str
    network_g: dict
    val: dict
    weights: Path | None
    param_key: str | None
    lengths: tuple[int, ...]
    file: str | None = None
    scale: int | None = None

    def enlarges_by(self) -> int | None:
        """The enlargement, as far as the network's arguments or the option file tell; None for what fits any."""
        if self.label == 'bicubic' and self.file is None:
            return None
        kind = self.network_g.get('type')
        known = isinstance(kind, str) and is_known(ARCH_REGISTRY, kind)
        factor = enlargement(self.network_g)[0] if known else None
        return self.scale if factor is None else factor

    def has_random_weights(self) -> bool:
        """Whether there are weights that come from no file."""
        return self.weights is None and self.network_g.get('type') != 'Bicubic'

    def least_frames(self) -> int:
        """The shortest clip that the network takes."""
        # IconVSR looks so far beyond both ends of a clip, by reflection.
        return max(self.val.get('window') or 1, 2 * self.network_g.get('temporal_padding', 0) + 1)

    def settings(self) -> dict:
        """What the results depend on."""
        weights = None
        if self.weights is not None:
            weights = {'file': self.weights.name, 'sha256': sha256_of(self.weights), 'key': self.param_key}
        val = {key: value for key, value in self.val.items() if key != 'precision'}
        return as_read({'network_g': self.network_g, 'val': val, 'precision': self.precision, 'weights': weights})

    @property
    def precision(self) -> str:
        """What it is run in."""
        return self.val.get('precision', 'fp32')


def parse_choices(
    texts: Sequence[str], training: str, protocol: str | None = None, precision: str | None = None
) -> list[Choice]:
    """Reads what stands behind `--networks`.

    Args:
        texts: Each `NAME`, `NAME=WEIGHTS.pth` with a known name, or `LABEL=OPTIONS.yml` with any; several may be
            joined by commas.
        training: What default weights are to be trained on; see `TRAININGS`.
        protocol: The leaderboard that they are run for.
        precision: What they are run in; None for what an option file says, else fp32.

    Returns:
        The choices in order.

    Raises:
        UserError: A name is not known or given twice, or a file does not exist.
    """
    words = [word.strip() for text in texts for word in text.split(',') if word.strip()]
    choices = [_choice(word, training, protocol) for word in words]
    if not choices:
        raise UserError(f'--networks names none; take some of {", ".join(KNOWN_NETWORKS)}, or LABEL=OPTIONS.yml.')
    if precision is not None:
        choices = [replace(choice, val={**choice.val, 'precision': precision}) for choice in choices]
    labels = [choice.label for choice in choices]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f'--networks has {label} twice; give one of them another label by LABEL=OPTIONS.yml.')
    return choices


def fit_to_scale(choices: Sequence[Choice], scale: int | None, where: str) -> tuple[list[Choice], int]:
    """Makes sure that networks enlarge alike, and lets the known bicubic do so too.

    Args:
        choices: The networks.
        scale: What they are to enlarge by; None takes what the first one says, and 4 where none says anything.
        where: What states that scale, for the text.

    Returns:
        The choices and the scale.

    Raises:
        UserError: Two of them differ, or one differs from `scale`.
    """
    for choice in choices:
        factor = choice.enlarges_by()
        if scale is None and factor is not None:
            scale, where = factor, f'{choice.label} by {factor}'
        elif factor not in (None, scale):
            raise UserError(
                f'{choice.label} enlarges by {factor}, but {where}; compare networks of one scale, or name an option '
                f'file of a network for it by LABEL=OPTIONS.yml.'
            )
    scale = scale or 4
    fitted = [
        replace(choice, network_g={**choice.network_g, 'upscale': scale})
        if choice.label == 'bicubic' and choice.file is None
        else choice
        for choice in choices
    ]
    return fitted, scale


def build(choice: Choice, scale: int, metrics: dict) -> GSMModel:
    """Builds a network with its weights, as `basicsr test` does.

    Raises:
        UserError: The network is not there, its arguments are wrong, or the weights do not fit.
    """
    kind = choice.network_g.get('type')
    if not isinstance(kind, str) or not is_known(ARCH_REGISTRY, kind):
        raise UserError(f'{choice.label}: no network is called {kind!r}; correct network_g: type.')
    weights = None if choice.weights is None else str(choice.weights)
    key = {} if choice.param_key is None else {'param_key_g': choice.param_key}
    opt = {
        'name': choice.label,
        'model_type': 'GSMModel',
        'scale': scale,
        'num_gpu': min(1, torch.cuda.device_count()),
        'dist': False,
        'rank': 0,
        'world_size': 1,
        'is_train': False,
        'network_g': dict(choice.network_g),
        'path': {'pretrain_network_g': weights, 'strict_load_g': True, **key},
        'val': {**choice.val, 'metrics': metrics},
    }
    logger = get_root_logger()
    level = logger.level
    try:
        # It would print every layer of each network.
        logger.setLevel(logging.ERROR)
        return GSMModel(opt)
    except UserError as error:
        raise UserError(_in_words_of_the_command(choice, str(error))) from error
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f'{choice.label}: {str(error).rstrip(".")}; correct network_g.') from error
    finally:
        logger.setLevel(level)


def _in_words_of_the_command(choice: Choice, text: str) -> str:
    """What is wrong with a network, without advice on keys of an option file where there is none."""
    if choice.file is not None:
        return f'{choice.file}: {text}'
    if choice.weights is None:
        return f'{choice.label}: {text}'
    return (
        f'{choice.label}={choice.weights}: {text.partition("; ")[0].rstrip(".")}; {choice.label} is the network as it '
        f'was published, so give weights of it, or the option file of yours by LABEL=OPTIONS.yml.'
    )


def _choice(word: str, training: str, protocol: str | None) -> Choice:
    label, _, value = word.partition('=')
    if not value and Path(word).is_file():
        raise UserError(f'--networks {word} is a file; write of which network it is, such as gsm={word}.')
    if re.fullmatch(r'[\w.+-]+', label) is None or label in ('LQ', 'GT'):
        raise UserError(f'--networks: {label!r} cannot be the name of a file; take letters and digits, not LQ or GT.')
    # what comes along goes by the name of its weights, too
    label = next((name for name, known in KNOWN_NETWORKS.items() if known.shipped == label), label)
    if value and not Path(value).is_file():
        raise UserError(f'--networks {word}: {value} does not exist; correct the path.')
    if value.endswith(('.yml', '.yaml')):
        return _from_options(label, value)
    if value.lower().endswith(VIDEO_SUFFIXES):
        raise UserError(
            f'--networks {word}: {value} is a film, and no weights of a network; write {label}=WEIGHTS.pth or '
            f'{label}=OPTIONS.yml, and name a clip before --networks.'
        )
    if value and label not in KNOWN_NETWORKS:
        raise UserError(
            f'--networks {word}: {label} is none of the known networks ({", ".join(KNOWN_NETWORKS)}), so a file of '
            f'weights does not tell it; write the name of one, such as gsm={value}, or {label}=OPTIONS.yml.'
        )
    if value and not KNOWN_NETWORKS[label].weights:
        raise UserError(f'--networks {word}: {label} has no weights; write {label} alone.')
    if label not in KNOWN_NETWORKS:
        raise UserError(
            f'--networks: no network is called {label!r}; did you mean {nearest(label, KNOWN_NETWORKS)}? Known ones: '
            f'{", ".join(KNOWN_NETWORKS)}; any other one by LABEL=OPTIONS.yml.'
        )
    known = KNOWN_NETWORKS[label]
    network_g = {**known.options, **known.by_training.get(training, {}), **known.by_protocol.get(protocol or '', {})}
    val = {**known.val, **known.val_by_training.get(training, {}), **known.val_by_protocol.get(protocol or '', {})}
    weights = Path(value) if value else _default_weights(label, training)
    return Choice(label, network_g, val, weights, None, known.lengths or (val['window'],))


def _from_options(label: str, file: str) -> Choice:
    options = read_options(file)
    network_g, path, val = (options.get(key) or {} for key in ('network_g', 'path', 'val'))
    weights = path.get('pretrain_network_g')
    file_of_weights = None if weights is None else path_of(weights)
    if file_of_weights is not None and not file_of_weights.is_file():
        how = cure_for_missing_path('pretrain_network_g', str(weights))
        raise UserError(f'{file}: path:pretrain_network_g is {weights}, which does not exist; {how}')
    run = {key: val[key] for key in _VAL_KEYS if key in val}
    known = {entry.options['type']: entry for entry in KNOWN_NETWORKS.values()}.get(network_g.get('type'))
    lengths = (run['window'],) if 'window' in run else known.lengths if known else (2, 3)
    scale = options.get('scale')
    scale = scale if type(scale) is int else None
    return Choice(label, dict(network_g), run, file_of_weights, path.get('param_key_g'), lengths, file, scale)


def _default_weights(label: str, training: str) -> Path | None:
    names, own = KNOWN_NETWORKS[label].weights, KNOWN_NETWORKS[label].shipped
    if own is not None:
        return find_weights(own).place(WEIGHTS_FOLDER)
    if not names:
        return None
    if training not in names:
        raise UserError(f'No public weights of {label} were trained on {training}; give a file by {label}=WEIGHTS.pth.')
    known = find_weights(names[training])
    path = known.place(WEIGHTS_FOLDER)
    if not path.is_file():
        raise UserError(
            f'{path} is missing; run basicsr weights get {known.name}, or name a file by {label}=WEIGHTS.pth.'
        )
    return path
