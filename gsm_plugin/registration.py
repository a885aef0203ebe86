"""The list of what the plugin adds to BasicSR."""

from basicsr.models.base_model import BaseModel
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, MODEL_REGISTRY, Registry

from gsm_plugin.archs.bicubic_arch import Bicubic
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.archs.vrt_arch import VRT
from gsm_plugin.data.degrading.degraded_clips_dataset import DegradedClipsDataset
from gsm_plugin.data.mixed.mixed_dataset import MixedDataset
from gsm_plugin.data.synthetic.photo_clips_dataset import PhotoClipsDataset
from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset
from gsm_plugin.errors import UserError
from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.models.gsm_model import GSMModel

_ADDED = (
    (ARCH_REGISTRY, 'GSMamba', GSMamba),
    (ARCH_REGISTRY, 'Bicubic', Bicubic),
    (ARCH_REGISTRY, 'VRT', VRT),
    (ARCH_REGISTRY, 'GatherScatterBlock', GatherScatterBlock),
    (ARCH_REGISTRY, 'ImplicitWarp', ImplicitWarp),
    (MODEL_REGISTRY, 'GSMModel', GSMModel),
    # The name in the option files of the published implementation.
    (MODEL_REGISTRY, 'RecurrentMixPrecisionRTModel', GSMModel),
    (DATASET_REGISTRY, 'VideoFoldersDataset', VideoFoldersDataset),
    (DATASET_REGISTRY, 'DegradedClipsDataset', DegradedClipsDataset),
    (DATASET_REGISTRY, 'PhotoClipsDataset', PhotoClipsDataset),
    (DATASET_REGISTRY, 'MixedDataset', MixedDataset),
)


def register_all() -> None:
    """Adds the networks, the model class and the data sets to BasicSR's registries; a second call changes nothing.

    All of BasicSR's models then load weights as ours does: in any layout, and only values that are numbers.

    Raises:
        UserError: Another package has registered something else under one of the names.
    """
    for registry, name, value in _ADDED:
        _add(registry, name, value)
    BaseModel.load_network = GSMModel.load_network


def _add(registry: Registry, name: str, value: type) -> None:
    present = registry._obj_map.get(name)
    if present is None:
        registry._do_register(name, value)
    elif present is not value:
        raise UserError(
            f'{present.__module__} has registered a {name} of its own; do not import it together with gsm_plugin.'
        )
