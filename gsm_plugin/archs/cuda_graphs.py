"""Forward and backward pass as CUDA graphs: one launch each, where a step waits for thousands of them."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

_logger = logging.getLogger('basicsr.gsm_plugin')


class TrainingGraph:
    """Calls a function, with gradients on a GPU as CUDA graphs.

    They are captured at the first such call, which takes a few steps' time. Only calls of the same shapes, types and
    precision, with the same trainable parameters, are replays; others run as they are, and say so once.

    Args:
        function: From tensors to a tensor, without a decision that depends on values.
        modules: Those whose parameters it reads; they have no hooks.
    """

    def __init__(self, function: Callable[..., Tensor], modules: Sequence[nn.Module]) -> None:
        self._function, self._modules = function, modules
        self._graphed, self._captured, self._has_told = None, None, False

    def __call__(self, *tensors: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._function(*tensors)
        if not tensors[0].is_cuda:
            self._tell(f'they need a CUDA device, the input is on {tensors[0].device.type}')
            return self._function(*tensors)
        call = self._describe(tensors)
        if self._graphed is None:
            self._graphed, self._captured = self._capture(tensors), call
        if call != self._captured:
            self._tell(f'this call differs from the captured one, of shape {self._captured[0][0]}')
            return self._function(*tensors)
        return self._graphed(*tensors)

    def _capture(self, tensors: tuple[Tensor, ...]):
        module = _Graphed(self._function, self._modules)
        # graphs read their inputs where these samples are
        samples = tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors)
        kind = samples[0].device.type
        with torch.autocast(
            kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        ):
            return torch.cuda.make_graphed_callables(module, samples, allow_unused_input=True)

    def _describe(self, tensors: tuple[Tensor, ...]) -> tuple:
        """What must be the same for a graph to be valid; the address tells a module that was moved."""
        kind = tensors[0].device.type
        parameters = [parameter for module in self._modules for parameter in module.parameters()]
        return (
            tuple(tuple(tensor.shape) for tensor in tensors),
            tuple((tensor.dtype, tensor.requires_grad) for tensor in tensors),
            torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
            torch.are_deterministic_algorithms_enabled(),
            tuple(parameter.requires_grad for parameter in parameters),
            parameters[0].data_ptr(),
        )

    def _tell(self, reason: str) -> None:
        if not self._has_told:
            _logger.warning(f'cuda_graphs: runs without them, since {reason}.')
            self._has_told = True


class _Graphed(nn.Module):
    """A function as a module with the parameters that it reads."""

    def __init__(self, function: Callable[..., Tensor], modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.reads = nn.ModuleList(modules)
        self._function = function

    def forward(self, *tensors: Tensor) -> Tensor:
        return self._function(*tensors)
