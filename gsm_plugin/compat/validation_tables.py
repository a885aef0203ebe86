"""The video models' `dist_validation` puts its table of metrics on 'cuda', and makes it once, for the first set.

So it fails on the CPU, and with a second set whose folders the table does not have.
"""

from collections import Counter
from types import ModuleType
from typing import Any

from gsm_plugin.compat.replacing import replaces


def patch_base(module: ModuleType) -> None:
    """Patches `VideoBaseModel`."""
    _patch(module.VideoBaseModel)


def patch_recurrent(module: ModuleType) -> None:
    """Patches `VideoRecurrentModel`, which has a validation of its own."""
    _patch(module.VideoRecurrentModel)


def _patch(model_class: type[Any]) -> None:
    original = model_class.dist_validation

    @replaces(model_class)
    def dist_validation(self, dataloader, current_iter, tb_logger, save_img):
        import torch

        metrics = self.opt['val'].get('metrics')
        if metrics is not None:
            frames = Counter(dataloader.dataset.data_info['folder'])
            # BasicSR keeps a table that it finds, so it gets one that fits this set and the model's device.
            self.metric_results = {
                folder: torch.zeros(count, len(metrics), device=self.device) for folder, count in frames.items()
            }
        return original(self, dataloader, current_iter, tb_logger, save_img)
