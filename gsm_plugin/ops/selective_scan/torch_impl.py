"""The selective scan in plain PyTorch: chunks in lockstep, the backward pass computes the states again."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of one (steps, batch, state, channels) temporary: the four of the backward pass stay in the last cache.
_BLOCK_ELEMENTS = 2**19
# Chunks go in lockstep until a call has so many elements. With less than so many chunks, what it takes to join them
# costs more than the calls that are spared.
_CALL_ELEMENTS, _LEAST_CHUNKS = 2**15, 8


def selective_scan_torch(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Computes what `selective_scan_naive` does, with the same arguments; the last state has no gradient.

    Everything but the recurrence itself is computed for blocks of steps at once, and the recurrence for several chunks
    of a block at once. Memory on top of inputs and gradients is a few blocks and one state per block, and that only
    while a pass runs: nothing of the size of the states is kept for the backward pass.
    """
    if u.numel() == 0:
        return u * delta, u.new_zeros(*u.shape[:2], A.shape[1])
    return _SelectiveScan.apply(u, delta, A, B, C)


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(u, delta, A, B, C)
        scan = _Scan(u, delta, A, B, C)
        y = torch.empty_like(scan.x)
        for steps, h in scan.forward():
            torch.matmul(scan.C[steps].mT, h, out=y[steps])
        last_state = h[-1].mT.clone(memory_format=torch.contiguous_format)
        ctx.mark_non_differentiable(last_state)
        return _batch_first(y.squeeze(2)), last_state

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y: Tensor, _: Tensor):
        u, delta, A, B, C = ctx.saved_tensors
        scan = _Scan(u, delta, A, B, C)
        grad_y = _time_first(grad_y)[:, :, None]
        grad_x, grad_delta = torch.empty_like(scan.x), torch.empty_like(scan.x)
        grad_A, grad_B, grad_C = torch.zeros_like(scan.A), torch.empty_like(scan.B), torch.empty_like(scan.C)
        for steps, entry, decay, h, grad_h in scan.backward(grad_y):
            torch.matmul(h, grad_y[steps].mT, out=grad_C[steps])
            torch.matmul(grad_h, scan.x[steps].mT, out=grad_B[steps])
            torch.matmul(scan.B[steps].mT, grad_h, out=grad_x[steps])
            # d loss / d (delta_t A) = grad_h_t * decay_t * h_{t-1}
            grad_exponent = decay.mul_(grad_h)
            grad_exponent[1:] *= h[:-1]
            grad_exponent[0] *= entry
            torch.sum(torch.mul(grad_exponent, scan.A, out=h), 2, keepdim=True, out=grad_delta[steps])
            grad_A += grad_exponent.mul_(scan.delta[steps]).sum((0, 1))
        grad_delta = _batch_first(grad_delta.squeeze(2)).addcmul_(_batch_first(grad_x.squeeze(2)), u)
        grad_u = _batch_first(grad_x.squeeze(2)) * delta
        return grad_u, grad_delta, grad_A.t(), _batch_first(grad_B.squeeze(3)), _batch_first(grad_C.squeeze(3))


class _Scan:
    """The recurrence and its adjoint over blocks of steps; time first and channels last: (l, b, n, d)."""

    def __init__(self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> None:
        self.delta, self.x = _time_first(delta)[:, :, None], _time_first(u * delta)[:, :, None]
        self.A = A.t().contiguous()
        self.B, self.C = _time_first(B)[..., None], _time_first(C)[..., None]
        length, batch = self.x.shape[:2]
        self._state = self.x.new_zeros(batch, *self.A.shape)
        size = min(length, max(1, _BLOCK_ELEMENTS // self._state.numel()))
        self._blocks = [slice(start, min(start + size, length)) for start in range(0, length, size)]
        self._decay, self._h, self._products = (self.x.new_empty(size, *self._state.shape) for _ in range(3))

    def forward(self) -> Iterator[tuple[slice, Tensor]]:
        """Yields the states of each block; they are overwritten by the next."""
        state = self._state
        for steps in self._blocks:
            _, h = self._states(steps, state)
            yield steps, h
            state = h[-1].clone()

    def backward(self, grad_y: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor, Tensor]]:
        """Yields, from the last block to the first, what entered it, decays, states and their gradients."""
        entries = [self._state]
        entries += [h[-1].clone() for _, h in self.forward()][:-1]
        grad_h = torch.empty_like(self._h)
        carried = self._state
        for steps, entry in zip(reversed(self._blocks), reversed(entries), strict=True):
            decay, h = self._states(steps, entry)
            grad = torch.mul(grad_y[steps], self.C[steps], out=grad_h[: len(h)])
            grad[-1] += carried
            if len(grad) > 1:
                recur(decay[1:], grad[:-1], grad[-1], self._products, backwards=True)
            carried = decay[0] * grad[0]
            yield steps, entry, decay, h, grad

    def _states(self, steps: slice, state: Tensor) -> tuple[Tensor, Tensor]:
        """Decay and state of every step of a block that is entered with a state."""
        count = steps.stop - steps.start
        decay = torch.mul(self.delta[steps], self.A, out=self._decay[:count]).exp_()
        h = torch.mul(self.x[steps], self.B[steps], out=self._h[:count])
        recur(decay, h, state, self._products)
        return decay, h


def recur(decay: Tensor, values: Tensor, state: Tensor, products: Tensor, backwards: bool = False) -> None:
    """Replaces values by `h_t = decay_t h_{t-1} + values_t`, or backwards by `h_t = decay_t h_{t+1} + values_t`.

    Where a step is so small that calls cost more than arithmetic, chunks of steps start from nothing, in lockstep, and
    keep products of their decays; with these, what enters each chunk is added to all of its steps at once.

    Args:
        decay: (steps, ...).
        values: The same, contiguous from one step to the next.
        state: What enters the first step, or backwards the last, (...).
        products: Memory for as many elements as decay has.
        backwards: Whether time runs from the last step to the first.
    """
    steps = len(values)
    chunks = min(_CALL_ELEMENTS // max(1, state.numel()), math.isqrt(steps))
    if chunks < _LEAST_CHUNKS:
        _step_by_step(decay, values, state, backwards)
        return
    size, rest = divmod(steps, chunks)
    # time enters at the steps that are left over
    early = slice(steps - rest, steps) if backwards else slice(0, rest)
    late = slice(0, steps - rest) if backwards else slice(rest, steps)
    state = _step_by_step(decay[early], values[early], state, backwards)
    late_decay, late_values, room = (
        x.unflatten(0, (chunks, size)) for x in (decay[late], values[late], products[: size * chunks])
    )
    _in_lockstep(late_decay, late_values, room, state, backwards)


def _step_by_step(decay: Tensor, values: Tensor, state: Tensor, backwards: bool) -> Tensor:
    pairs = list(zip(decay.unbind(), values.unbind(), strict=True))
    for decay_t, value_t in reversed(pairs) if backwards else pairs:
        state = value_t.addcmul_(decay_t, state)
    return state


def _in_lockstep(decay: Tensor, values: Tensor, products: Tensor, state: Tensor, backwards: bool) -> None:
    """`recur` for (chunks, steps, ...); `products` is overwritten."""
    order = -1 if backwards else 1
    (first_decay, h, product), *later = list(zip(*(x.unbind(1) for x in (decay, values, products)), strict=True))[
        ::order
    ]
    product.copy_(first_decay)
    for decay_t, value_t, product_t in later:
        h = value_t.addcmul_(decay_t, h)
        product = torch.mul(product, decay_t, out=product_t)
    # h and product are those of each chunk's last step
    for chunk in range(len(values))[::order]:
        values[chunk].addcmul_(products[chunk], state)
        state = h[chunk]


def _time_first(x: Tensor) -> Tensor:
    """(b, d, l) -> (l, b, d)."""
    return x.permute(2, 0, 1).contiguous()


def _batch_first(x: Tensor) -> Tensor:
    """(l, b, d) -> (b, d, l)."""
    return x.permute(1, 2, 0).contiguous()
