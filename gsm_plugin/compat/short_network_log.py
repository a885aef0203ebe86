"""`print_network` logs every layer of a network, by which nothing else of the log is seen."""

import logging
from types import ModuleType

from gsm_plugin.compat.replacing import replaces


def patch(base_model: ModuleType) -> None:
    """Logs one line, and the layers only where the log takes details."""
    original = base_model.BaseModel.print_network

    @replaces(base_model.BaseModel)
    def print_network(self, net):
        logger = base_model.get_root_logger()
        if logger.isEnabledFor(logging.DEBUG):
            original(self, net)
        elif logger.isEnabledFor(logging.INFO):
            bare = self.get_bare_model(net)
            count = sum(parameter.numel() for parameter in bare.parameters())
            logger.info(f'Network: {type(bare).__name__}, with parameters: {count:,d}')
