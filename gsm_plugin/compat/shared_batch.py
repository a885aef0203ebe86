"""The video models' `dist_validation` adds a batch dimension to an item in place, and takes it away after `feed_data`.

On the CPU the model holds the very same tensor, and is left without the dimension.
"""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces


def patch(module: ModuleType) -> None:
    """Lets the video models hold views of what they are fed, which keep their shape."""
    original = module.VideoBaseModel.feed_data

    @replaces(module.VideoBaseModel)
    def feed_data(self, data):
        original(self, data)
        self.lq = self.lq.view_as(self.lq)
        if 'gt' in data:
            self.gt = self.gt.view_as(self.gt)
