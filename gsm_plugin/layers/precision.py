"""Precision: the type that each kind of work computes in, in one table by use and name, and how it is set.

Who runs a network takes a policy by `policy_for`, and runs it where that says. Layers ask `training_policy` how they
compute, and `gsm_plugin.fast` asks `inference_policy`. Both tell the precision by the autocast that is on, so that a
network under `torch.autocast` alone computes as it does under a policy.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.switches import onednn, split_products, tf32

HALF = MappingProxyType({'bf16': torch.bfloat16, 'fp16': torch.float16})
Use = Literal['training', 'inference']


@dataclass(frozen=True)
class Work:
    """How a kind of work multiplies. What is left out stays as it is around it.

    Attributes:
        dtype: Type that products and convolutions read; float32 is without autocast, so that float64 stays what it is.
        products: Whether a GPU rounds float32 factors of products to TF32.
        convolutions: The same for convolutions.
        in_place_of_tf32: Only where a GPU would round float32 factors of convolutions to TF32; else all stays as it is.
    """

    dtype: torch.dtype | None = None
    products: bool | None = None
    convolutions: bool | None = None
    in_place_of_tf32: bool = False

    @contextmanager
    def on(self, x: Tensor) -> Iterator[None]:
        """Where the work is done, on the device of x."""
        kind = x.device.type
        autocast = None if self.dtype == torch.float32 else self.dtype
        with ExitStack() as stack:
            if self.dtype is not None and autocast != _autocast_type(kind):
                # a cache would give weights in the type in which they were cached
                stack.enter_context(torch.autocast(kind, autocast, autocast is not None, cache_enabled=False))
            for switch, wanted in ((tf32.products, self.products), (tf32.convolutions, self.convolutions)):
                if wanted is not None:
                    stack.enter_context(switch.turned(wanted))
            yield

    def applies_to(self, x: Tensor) -> bool:
        """Whether it differs on x from what is around."""
        return self != Work() and (not self.in_place_of_tf32 or (x.is_cuda and tf32.convolutions.is_on()))

    def at_least(self, dtype: torch.dtype) -> torch.dtype:
        """The wider one of the work's type and another."""
        return dtype if self.dtype is None else torch.promote_types(dtype, self.dtype)


AS_AROUND = Work()
_FLOAT16 = Work(torch.float16)
_FLOAT32 = Work(torch.float32)
# 11 bits as float16 has, and the range of bfloat16, whose 8 bits would show in single parameters' gradients
_BY_TF32 = Work(torch.float32, products=True)
# PyTorch allows TF32 for convolutions unless told otherwise
_WITHOUT_TF32 = Work(torch.float32, convolutions=False)


@dataclass(frozen=True)
class Policy:
    """How a network computes: the types of each kind of work. Parameters, gradients and averages are float32.

    Attributes:
        autocast: Type of the autocast around the network; None for none.
        tf32: How PyTorch's switches for TF32 are turned around network, loss and gradients; None for as they are.
        ends: First and last layers, and what all windows of a sweep share.
        attention: Attention with its feed-forward network.
        gather: The implicit warp with its projections.
        scan: The scan with its projections; scatter moves what comes out. The op itself computes in float32 at least.
        scan_steps: Type in which the scan keeps its steps for the backward pass; None for that of what it gets.
        feed_forward: The feed-forward network behind scatter, with its depthwise convolution.
        frames: Type of the frames that layers add to; None for what PyTorch makes of the addends.
        flow_network: The flow network.
        flow_hidden: Its hidden layers.
        taps: Places and weighted sums of a deformable convolution's taps.
        output: Type of the output, and so of the loss.
        scales_loss: Whether the loss is scaled, lest small gradients vanish.
        is_plain: Whether layers follow the autocast alone, in training and in inference.
    """

    autocast: torch.dtype | None = None
    tf32: bool | None = None
    splits: bool = False
    ends: Work = AS_AROUND
    attention: Work = AS_AROUND
    gather: Work = AS_AROUND
    scan: Work = AS_AROUND
    scan_steps: torch.dtype | None = None
    feed_forward: Work = AS_AROUND
    frames: torch.dtype | None = None
    flow_network: Work = AS_AROUND
    flow_hidden: Work = AS_AROUND
    taps: Work = _FLOAT32
    output: torch.dtype = torch.float32
    scales_loss: bool = False
    is_plain: bool = False

    def factors(self, work: Work, dtype: torch.dtype) -> torch.dtype:
        """Type in which one of its kinds of work reads factors, where they come in a type."""
        if work.dtype is not None:
            return work.dtype
        return dtype if self.autocast is None else self.autocast

    @contextmanager
    def running(self, device: torch.device) -> Iterator[None]:
        """Where a network on a device runs without gradients, whatever the caller is under."""
        with self.autocasting(device), self.multiplying_float32(device):
            yield

    @contextmanager
    def autocasting(self, device: torch.device) -> Iterator[None]:
        """Where a network on a device runs; its loss and its gradients are outside."""
        # the dtype of a context that is off is still checked against the device
        dtype = torch.bfloat16 if self.autocast is None else self.autocast
        with plainly(self.is_plain), torch.autocast(device.type, dtype, enabled=self.autocast is not None):
            yield

    @contextmanager
    def multiplying_float32(self, device: torch.device) -> Iterator[None]:
        """Where a GPU multiplies float32 by TF32, or does not, or does as PyTorch has it; a CPU by oneDNN."""
        with ExitStack() as stack:
            if device.type == 'cuda' and self.tf32 is not None:
                stack.enter_context(tf32.products.turned(self.tf32))
                stack.enter_context(tf32.convolutions.turned(self.tf32))
            elif device.type == 'cpu' and onednn.is_exact():
                stack.enter_context(onednn.products.turned(True))
            yield

    @contextmanager
    def without_gradients(self, device: torch.device) -> Iterator[None]:
        """Where what has no gradients runs on a device, under whatever the caller set: how float32 is multiplied."""
        with split_products.products.turned(self.splits), ExitStack() as stack:
            if device.type == 'cpu':
                stack.enter_context(self.multiplying_float32(device))
            yield

    def multiplies_by_tf32(self, device: torch.device) -> bool:
        """Whether a network on a device may multiply anything by TF32 that it does not turn it on for itself."""
        with self.multiplying_float32(device):
            return device.type == 'cuda' and (tf32.convolutions.is_on() or tf32.products.is_on())


# In training, rounding of the flow network carries positions from one pixel to the next, where gradients jump; that is
# for the forward pass alone, in the backward pass it changes little. What the implicit warp rounds shows most of all in
# the flow network's gradients, and what the ends round in all of them. In inference, frames in float16 have half the
# memory and traffic, and its 11 bits cut off less than products in bfloat16 do, which have 8; in the flow network it
# has the bits of TF32, which moves twice as many bytes.
_IN_FLOAT16 = Policy(
    autocast=torch.float16,
    ends=_FLOAT16,
    gather=_FLOAT16,
    feed_forward=_FLOAT16,
    frames=torch.float16,
    flow_network=_FLOAT32,
    flow_hidden=Work(torch.float16, in_place_of_tf32=True),
)
POLICIES: Mapping[tuple[str, str], Policy] = MappingProxyType(
    {
        ('training', 'fp32'): Policy(tf32=False, flow_network=_WITHOUT_TF32),
        ('training', 'tf32'): Policy(tf32=True, flow_network=_WITHOUT_TF32),
        ('training', 'bf16'): Policy(
            autocast=torch.bfloat16,
            ends=_WITHOUT_TF32,
            attention=_BY_TF32,
            gather=_BY_TF32,
            scan=_BY_TF32,
            scan_steps=torch.bfloat16,
            flow_network=_WITHOUT_TF32,
        ),
        ('training', 'fp16'): Policy(
            autocast=torch.float16,
            ends=_WITHOUT_TF32,
            gather=_BY_TF32,
            flow_network=_WITHOUT_TF32,
            scales_loss=True,
        ),
        ('inference', 'fp32'): Policy(tf32=False, splits=True),
        ('inference', 'tf32'): Policy(tf32=True),
        ('inference', 'bf16'): replace(_IN_FLOAT16, autocast=torch.bfloat16),
        ('inference', 'fp16'): _IN_FLOAT16,
    }
)
_PLAIN = {
    name: Policy(autocast=dtype, scales_loss=POLICIES['training', name].scales_loss, is_plain=True)
    for name, dtype in HALF.items()
}
_of_thread = threading.local()


def policy_for(use: Use, precision: str, plain_autocast: bool = False) -> Policy:
    """The policy of a use and a precision.

    Args:
        use: What the network is run for.
        precision: fp32, tf32, bf16 or fp16.
        plain_autocast: Whether layers are to follow PyTorch's autocast alone.

    Raises:
        UserError: There is no autocast in the precision that layers could follow.
    """
    if not plain_autocast:
        return POLICIES[use, precision]
    if precision not in HALF:
        raise UserError(
            f'plain_autocast is true, but precision is {precision}, which has no autocast; '
            f'set precision to {" or ".join(HALF)}, or leave plain_autocast out.'
        )
    return _PLAIN[precision]


def training_policy(x: Tensor) -> Policy:
    """The policy that layers follow where they are called, on the device of x."""
    return _policy_here('training', x)


def inference_policy(x: Tensor) -> Policy:
    """The policy that the networks without gradients follow where they are called, on the device of x."""
    return _policy_here('inference', x)


def is_plain() -> bool:
    """Whether layers follow autocast alone, in this thread."""
    return getattr(_of_thread, 'is_plain', False)


@contextmanager
def plainly(plain: bool) -> Iterator[None]:
    """Lets layers follow autocast alone, or not, in this thread."""
    before, _of_thread.is_plain = is_plain(), plain
    try:
        yield
    finally:
        _of_thread.is_plain = before


def precision_of_products(x: Tensor) -> torch.dtype:
    """Type in which a Linear reads x: that of autocast where it is on, else that of x."""
    autocast = _autocast_type(x.device.type)
    return x.dtype if autocast is None else autocast


def convolves_on_tensor_cores(x: Tensor) -> bool:
    """Whether a convolution of x is in half precision on a GPU, or in TF32, which PyTorch allows by default."""
    dtype = precision_of_products(x)
    return x.is_cuda and (dtype.itemsize == 2 or (dtype == torch.float32 and tf32.convolutions.is_on()))


def without_autocast(x: Tensor) -> torch.autocast:
    """Where products read factors as they come, on the device of x."""
    return torch.autocast(x.device.type, enabled=False)


def autocast_as_it_is(x: Tensor, cache_enabled: bool) -> torch.autocast:
    """The autocast that is on where x is, if one is, with its cache of weights or without."""
    kind = x.device.type
    return torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled)


def state_of_precision(x: Tensor) -> tuple[object, ...]:
    """All that tells how x is computed with here, for comparison with another place."""
    return _autocast_type(x.device.type), tf32.products.is_on(), tf32.convolutions.is_on(), is_plain()


def _policy_here(use: Use, x: Tensor) -> Policy:
    autocast = _autocast_type(x.device.type)
    name = next((name for name, dtype in HALF.items() if dtype == autocast), None)
    if name is None:
        return POLICIES[use, 'tf32' if tf32.products.is_on() else 'fp32']
    return _PLAIN[name] if is_plain() else POLICIES[use, name]


def _autocast_type(kind: str) -> torch.dtype | None:
    """Type of the autocast on devices of a kind, None where it is off."""
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
