"""`BaseModel.model_to_device` asks for the current CUDA device in distributed training, also for a model on the CPU."""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces


def patch(base_model: ModuleType) -> None:
    """Wraps networks on the CPU in DistributedDataParallel without a device id, as it wants them there."""
    original = base_model.BaseModel.model_to_device

    @replaces(base_model.BaseModel)
    def model_to_device(self, net):
        if not self.opt['dist'] or self.device.type == 'cuda':
            return original(self, net)
        unused = self.opt.get('find_unused_parameters', False)
        return base_model.DistributedDataParallel(net.to(self.device), find_unused_parameters=unused)
