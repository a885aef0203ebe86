"""A function and its gradient as CUDA graphs: one launch each, where the GPU waits for thousands of them."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gsm_plugin.layers.precision import autocast_as_it_is, state_of_precision, without_autocast

# Steps before a capture, as PyTorch advises.
_WARM_UPS = 3
# A capture takes as long as the launches of a call, and so longer the more frames there are, but what it spares becomes
# less the larger they are. Clips of more pixels keep a GPU busy whoever launches.
_MOST_PIXELS = 3_000_000
_logger = logging.getLogger('basicsr.gsm_plugin')


class _GraphedCall:
    """Calls a function, on a GPU as CUDA graphs.

    Results are the same. Other threads, which pin memory or watch NCCL, may use the GPU during a capture.

    Args:
        function: From tensors to a tensor, without a decision that depends on values.
        modules: Those whose parameters it reads; they have no hooks.
    """

    def __init__(self, function: Callable[..., Tensor], modules: Sequence[nn.Module]) -> None:
        self._function, self._modules = function, modules
        self._captured_call: tuple = ()
        self._has_told = False

    def __call__(self, *tensors: Tensor) -> Tensor:
        if not tensors[0].is_cuda:
            self._tell(f'they need a CUDA device, the input is on {tensors[0].device.type}')
            return self._function(*tensors)
        # graphs are captured and replayed on the current GPU
        with torch.cuda.device(tensors[0].device):
            return self._run(self._describe(tensors), tensors)

    def _run(self, call: tuple, tensors: tuple[Tensor, ...]) -> Tensor:
        raise NotImplementedError

    def _describe(self, tensors: tuple[Tensor, ...]) -> tuple:
        """What must be the same for a graph to be valid; the addresses tell modules that were moved."""
        state = tuple((parameter.requires_grad, parameter.data_ptr()) for parameter in self._parameters())
        return (
            tuple(tuple(tensor.shape) for tensor in tensors),
            tuple((tensor.dtype, tensor.requires_grad) for tensor in tensors),
            state_of_precision(tensors[0]),
            torch.are_deterministic_algorithms_enabled(),
            state,
        )

    def _parameters(self) -> list[nn.Parameter]:
        return list(nn.ModuleList(self._modules).parameters())

    def _tell(self, reason: str) -> None:
        if not self._has_told:
            _logger.warning(f'cuda_graphs: runs without them, since {reason}.')
            self._has_told = True


class GraphedTraining(_GraphedCall):
    """A function and its gradient.

    The graphs are captured at the first call, which takes a few steps' time. Calls that differ from it in shape, type,
    precision or in what is trained run as they are, which is said once.
    """

    _graphs: '_TrainingGraphs | None' = None

    def _run(self, call: tuple, tensors: tuple[Tensor, ...]) -> Tensor:
        if self._graphs is None:
            with _explained():
                self._graphs = _TrainingGraphs(self._function, self._modules, tensors)
            self._captured_call = call
        if call != self._captured_call:
            self._tell(f'a training step differs from the first one, whose input was {self._captured_call[0][0]}')
            return self._function(*tensors)
        return Replay.apply(self._graphs, *tensors, *self._parameters())


class GraphedInference(_GraphedCall):
    """A function without gradients: the second of two equal calls is captured, and kept until two others are equal.

    Calls with clips (b, t, c, h, w) of more than three million pixels run as they are.
    """

    _graph: '_InferenceGraph | None' = None
    _previous_call: tuple = ()

    def _run(self, call: tuple, tensors: tuple[Tensor, ...]) -> Tensor:
        if call != self._captured_call:
            if call != self._previous_call:
                # what runs once need not be captured, and this call compiles what the capture needs
                self._previous_call = call
                return self._function(*tensors)
            if _pixels(tensors[0]) > _MOST_PIXELS:
                return self._function(*tensors)
            self._graph = None
            with _explained():
                self._graph = _InferenceGraph(self._function, tensors)
            self._captured_call = call
        assert self._graph is not None
        return self._graph(*tensors)


class Replay(torch.autograd.Function):
    """A function by its graphs, and its gradient by theirs: `apply(graphs, *tensors of which gradients are wanted)`."""

    @staticmethod
    def forward(ctx, graphs: '_TrainingGraphs', *leaves: Tensor) -> Tensor:
        output = graphs.replay_forward(*leaves)
        ctx.graphs, ctx.step = graphs, graphs.step
        return output.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.step != ctx.graphs.step:
            raise RuntimeError(
                'cuda_graphs: the activations of this step are gone, for another step ran before its backward pass; '
                'call backward after each forward pass, or set cuda_graphs: false.'
            )
        gradients = ctx.graphs.replay_backward(grad_output)
        # the next replay writes to the same memory, where gradients would not add up
        return None, *(None if gradient is None else gradient.clone() for gradient in gradients)


class _TrainingGraphs:
    """Graphs of a function, and of its gradients to its inputs and to the parameters of modules.

    Attributes:
        step: Number of forward passes.
    """

    def __init__(
        self, function: Callable[..., Tensor], modules: Sequence[nn.Module], tensors: tuple[Tensor, ...]
    ) -> None:
        self.step = 0
        self._inputs = _samples(tensors)
        # with a cache of weights in half precision, their gradients would be added up in it
        with autocast_as_it_is(tensors[0], cache_enabled=False), stand_ins(modules) as parameters:
            leaves = *self._inputs, *parameters
            wanted = [leaf for leaf in leaves if leaf.requires_grad]
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                # compiles kernels and searches for convolutions
                for _ in range(_WARM_UPS):
                    output = function(*self._inputs)
                    _differentiate(output, wanted, torch.zeros_like(output))
            torch.cuda.current_stream().wait_stream(stream)
            del output
            # as PyTorch's own, it is not that of the steps before
            stream = torch.cuda.Stream()
            self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
            with _capture(self._forward, stream):
                output = function(*self._inputs)
            self._cotangent = torch.zeros_like(output)
            with _capture(self._backward, stream, self._forward.pool()):
                gradients = iter(_differentiate(output, wanted, self._cotangent))
        self._output = output.detach()
        self._gradients = [next(gradients) if leaf.requires_grad else None for leaf in leaves]

    def replay_forward(self, *leaves: Tensor) -> Tensor:
        """The output, in memory that the next replay overwrites."""
        self.step += 1
        for own, tensor in zip(self._inputs, leaves, strict=False):
            own.detach().copy_(tensor)
        self._forward.replay()
        return self._output

    def replay_backward(self, grad_output: Tensor) -> list[Tensor | None]:
        """The gradients to all leaves, in memory that the next replay overwrites."""
        self._cotangent.copy_(grad_output)
        self._backward.replay()
        return self._gradients


class _InferenceGraph:
    def __init__(self, function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> None:
        self._inputs, self._graph = _samples(tensors), torch.cuda.CUDAGraph()
        # what autocast has kept of weights may be gone at a replay; what it keeps here is the graph's alone
        torch.clear_autocast_cache()
        with autocast_as_it_is(tensors[0], cache_enabled=True), _capture(self._graph, torch.cuda.Stream()):
            self._output = function(*self._inputs)
        torch.clear_autocast_cache()

    def __call__(self, *tensors: Tensor) -> Tensor:
        for own, tensor in zip(self._inputs, tensors, strict=True):
            own.copy_(tensor)
        self._graph.replay()
        return self._output.clone()


@contextmanager
def stand_ins(modules: Sequence[nn.Module]) -> Iterator[list[nn.Parameter]]:
    """Lets modules use other parameters in the same memory, which it gives.

    DistributedDataParallel holds the ends of autograd's graph for the parameters themselves, which belong to the stream
    that it was made on; a capture would have to wait for that stream, and CUDA forbids it.
    """
    own = nn.ModuleList(modules)
    others = {p: nn.Parameter(p.detach(), p.requires_grad) for p in own.parameters()}
    places = [(m._parameters, name, p) for m in own.modules() for name, p in m._parameters.items() if p is not None]
    try:
        for where, name, parameter in places:
            where[name] = others[parameter]
        yield list(others.values())
    finally:
        for where, name, parameter in places:
            where[name] = parameter


@contextmanager
def _explained() -> Iterator[None]:
    """Says what to do where a capture fails; the CUDA context may be of no use afterwards, so nothing else is tried."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(f'cuda_graphs: the capture failed ({reason}); set cuda_graphs: false.') from error


def _differentiate(output: Tensor, wanted: Sequence[Tensor], cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients without autocast, as in a training step; it would round what was multiplied in float32."""
    with without_autocast(output):
        return torch.autograd.grad(output, wanted, cotangent, allow_unused=True)


def _capture(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream, pool: Any = None) -> torch.cuda.graph:
    """Captures what this thread does; elsewhere, memory may be pinned and events may be asked for meanwhile.

    PyTorch's own stream for captures is of the GPU that captured first.
    """
    return torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode='thread_local')


def _pixels(clip: Tensor) -> int:
    """Those of all frames of a clip (..., c, h, w)."""
    return clip.numel() // clip.shape[-3]


def _samples(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copies that a graph can read its inputs from."""
    return tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors)
