"""Several data sets in one training set: photographs in motion, shots of films, folders of clips."""

import random
from itertools import accumulate
from typing import ClassVar

import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import DATASET_REGISTRY

from gsm_plugin.compat.bad_samples import Samples
from gsm_plugin.data.set_options import read_crops
from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.sections import Section, keys_of, read_key
from gsm_plugin.options.declared.set_sections import SET_BY_THE_MIX, Mixed, Part

_SHARED = ('use_hflip', 'use_rot', 'degradation')


class MixedDataset(torch.utils.data.Dataset):
    """Draws each item from one of its parts, which by their weights, and any item of that part.

    Both are drawn from Python's generator, which the training seeds for each sample, so the index decides only by that
    seed, and an epoch is as many items as the parts have together.

    Args:
        opt: The dataset's options, declared in `OPTIONS`.

    Raises:
        UserError: An option of it or of a part is missing or wrong.
    """

    OPTIONS: ClassVar[dict] = {(): Mixed}

    def __init__(self, opt: dict):
        self.opt = opt
        title = f'Dataset {opt.get("name", "without a name")}'
        if opt.get('phase') != 'train':
            raise UserError(f'{title}: MixedDataset is for training only; write val sets as val, val_2, ...')
        read_crops(Mixed, opt, title)
        weights = []
        self._parts: list[Samples] = []
        for name, section in opt['parts'].items():
            weights.append(read_key(Part, 'weight', section, f'{title}: parts:{name}:'))
            self._parts.append(_build(part_options(opt, name), f'{title}: parts:{name}'))
        if not sum(weights):
            raise UserError(f'{title}: all parts have weight 0; give one of them more.')
        self._bounds = list(accumulate(weights))
        shares = ', '.join(
            f'{name} {100 * w / sum(weights):.0f} %' for name, w in zip(opt['parts'], weights, strict=True)
        )
        get_root_logger().info(f'{title}: {shares}.')

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, index: int) -> dict:
        (part,) = random.choices(self._parts, cum_weights=self._bounds)
        return part[random.randrange(len(part))]


def part_options(opt: dict, name: str) -> dict:
    """The options with which a part is built: its own, and those that all parts share."""
    section = opt['parts'][name]
    return {
        **{key: opt[key] for key in _SHARED if key in opt},
        **{key: value for key, value in section.items() if key != 'weight'},
        **{key: opt.get(key) for key in SET_BY_THE_MIX},
        'name': f'{opt.get("name")}:{name}',
    }


def _build(options: dict, where: str) -> Samples:
    cls = DATASET_REGISTRY._obj_map.get(options.get('type'))
    if cls is None or not hasattr(cls, 'OPTIONS') or cls is MixedDataset:
        ours = sorted(name for name, one in DATASET_REGISTRY if hasattr(one, 'OPTIONS') and one is not MixedDataset)
        raise UserError(f'{where}:type is {options.get("type")!r}; parts can be {", ".join(ours)}.')
    # A set that reads LQ from files has no degradation.
    taken = {key: value for key, value in options.items() if key not in _SHARED or _reads(cls.OPTIONS[()], key)}
    return cls(taken)


def _reads(declared: type[Section], key: str) -> bool:
    return key in {one.name for one in keys_of(declared)}
