"""A function and its gradient as CUDA graphs: one launch each, where the GPU waits for thousands of them."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

_logger = logging.getLogger('basicsr.gsm_plugin')


class GraphedCall:
    """Calls a function, on a GPU as CUDA graphs.

    With gradients, its graphs are captured at the first call, which takes a few steps' time. Calls that differ from it
    in shape, type, precision or in what is trained run as they are, which is said once. Without gradients, the second
    of two equal calls is captured, and the graph is kept until two others are equal. Results are the same.

    Args:
        function: From tensors to a tensor, without a decision that depends on values.
        modules: Those whose parameters it reads; they have no hooks.
    """

    def __init__(self, function: Callable[..., Tensor], modules: Sequence[nn.Module]) -> None:
        self._function, self._modules = function, modules
        self._training, self._trained_call = None, None
        self._inference, self._inferred_call, self._previous_call = None, None, None
        self._has_told = False

    def __call__(self, *tensors: Tensor) -> Tensor:
        if not tensors[0].is_cuda:
            self._tell(f'they need a CUDA device, the input is on {tensors[0].device.type}')
            return self._function(*tensors)
        call = self._describe(tensors)
        return self._train(call, tensors) if torch.is_grad_enabled() else self._infer(call, tensors)

    def _train(self, call: tuple, tensors: tuple[Tensor, ...]) -> Tensor:
        if self._training is None:
            module = _Graphed(self._function, self._modules)
            with _autocast_without_cache(tensors[0]):
                self._training = torch.cuda.make_graphed_callables(module, _samples(tensors), allow_unused_input=True)
            self._trained_call = call
            for parameter in module.parameters():
                if parameter.requires_grad:
                    # the graph writes gradients to the same memory each time, where they would not add up
                    parameter.register_hook(torch.clone)
        if call != self._trained_call:
            self._tell(f'a training step differs from the first one, whose input was {self._trained_call[0][0]}')
            return self._function(*tensors)
        return self._training(*tensors)

    def _infer(self, call: tuple, tensors: tuple[Tensor, ...]) -> Tensor:
        if call != self._inferred_call:
            if call != self._previous_call:
                # what runs once need not be captured, and this call compiles what the capture needs
                self._previous_call = call
                return self._function(*tensors)
            self._inference = None
            self._inference, self._inferred_call = _InferenceGraph(self._function, tensors), call
        return self._inference(*tensors)

    def _describe(self, tensors: tuple[Tensor, ...]) -> tuple:
        """What must be the same for a graph to be valid; the addresses tell modules that were moved."""
        kind = tensors[0].device.type
        parameters = [parameter for module in self._modules for parameter in module.parameters()]
        return (
            tuple(tuple(tensor.shape) for tensor in tensors),
            tuple((tensor.dtype, tensor.requires_grad) for tensor in tensors),
            torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
            torch.are_deterministic_algorithms_enabled(),
            tuple((parameter.requires_grad, parameter.data_ptr()) for parameter in parameters),
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


class _InferenceGraph:
    def __init__(self, function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> None:
        self._inputs, self._graph = _samples(tensors), torch.cuda.CUDAGraph()
        with _autocast_without_cache(tensors[0]), torch.cuda.graph(self._graph):
            self._output = function(*self._inputs)

    def __call__(self, *tensors: Tensor) -> Tensor:
        for own, tensor in zip(self._inputs, tensors, strict=True):
            own.copy_(tensor)
        self._graph.replay()
        return self._output.clone()


def _samples(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copies that a graph can read its inputs from."""
    return tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors)


def _autocast_without_cache(x: Tensor) -> torch.autocast:
    """The autocast that is on, without its cache of weights, which does not outlive it while a graph does."""
    kind = x.device.type
    return torch.autocast(
        kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
    )
