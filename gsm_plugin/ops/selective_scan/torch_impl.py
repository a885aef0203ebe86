"""The selective scan in plain PyTorch: chunks advance in lockstep, the backward pass computes the states again."""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of one (steps, channels, state) temporary. 16 MiB in float32, so that the few that are alive at
# once stay in the last-level cache; larger blocks were slower, smaller ones pay more for launching operators.
_BLOCK_ELEMENTS = 2**22


def selective_scan_torch(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Computes what `selective_scan_naive` does, with the same arguments, in a few hundred operator calls.

    Memory on top of inputs and gradients is bounded by a few blocks of `_BLOCK_ELEMENTS`, whatever the length, width
    or state size; nothing of the size of the states is kept for the backward pass.
    """
    if u.numel() == 0:
        return u * delta
    return _SelectiveScan.apply(u, delta, A, B, C)


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        ctx.save_for_backward(u, delta, A, B, C)
        layout = _Layout(u, A)
        B_, C_ = layout.split(B), layout.split(C)
        y = torch.empty_like(u)
        for block in layout.channel_blocks():
            delta_ = layout.split(delta[:, block])
            x = layout.split(u[:, block]) * delta_
            _, h, _ = _states(delta_, x, A[block].t(), B_)
            y[:, block] = layout.join(_sum_over_state(h, C_[..., None, :]))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_y: Tensor):
        u, delta, A, B, C = ctx.saved_tensors
        layout = _Layout(u, A)
        B_, C_ = layout.split(B), layout.split(C)
        grad_u, grad_delta = torch.empty_like(u), torch.empty_like(delta)
        grad_A = torch.empty_like(A)
        grad_B, grad_C = torch.zeros_like(B_), torch.zeros_like(C_)
        for block in layout.channel_blocks():
            u_, delta_ = layout.split(u[:, block]), layout.split(delta[:, block])
            grad_y_ = layout.split(grad_y[:, block])
            A_, x = A[block].t(), u_ * delta_
            decay, h, entry = _states(delta_, x, A_, B_)
            _add_over_channels(grad_C, h, grad_y_)
            grad_h = _adjoint_states(decay, delta_, A_, C_, grad_y_)
            _add_over_channels(grad_B, grad_h, x)
            grad_x = _sum_over_state(grad_h, B_[..., None, :])
            # d loss / d (delta_t A) = grad_h_t * decay_t * h_{t-1}
            grad_exponent = decay.mul_(grad_h)
            grad_exponent[0] *= entry
            grad_exponent[1:] *= h[:-1]
            grad_delta_ = _sum_over_state(grad_exponent, A_[..., None]).addcmul_(grad_x, u_)
            grad_A[block] = grad_exponent.mul_(delta_[:, :, None]).sum((0, 1, 4)).t()
            grad_u[:, block] = layout.join(grad_x.mul_(delta_))
            grad_delta[:, block] = layout.join(grad_delta_)
        return grad_u, grad_delta, grad_A, layout.join(grad_B), layout.join(grad_C)


class _Layout:
    """Folds time into (steps of a chunk, chunks), chunks innermost: (b, c, l) <-> (step, b, c, chunk).

    A padded step has delta = 0: its decay is 1 and its input 0, so that it leaves the state as it is.
    """

    def __init__(self, u: Tensor, A: Tensor) -> None:
        self.batch, self.channels, self.length = u.shape
        # fewer steps than chunks: a step is a handful of operator calls, and the chunks are what they vectorise over
        self.steps = max(1, math.isqrt(self.length) // 2)
        self.chunks = math.ceil(self.length / self.steps)
        self.block = max(1, _BLOCK_ELEMENTS // (self.batch * self.steps * self.chunks * A.shape[1]))

    def channel_blocks(self) -> list[slice]:
        return [slice(i, i + self.block) for i in range(0, self.channels, self.block)]

    def split(self, x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (0, self.steps * self.chunks - self.length))
        return padded.unflatten(-1, (self.chunks, self.steps)).permute(3, 0, 1, 2).contiguous()

    def join(self, x: Tensor) -> Tensor:
        return x.permute(1, 2, 3, 0).flatten(2)[..., : self.length]


def _sum_over_state(states: Tensor, weights: Tensor) -> Tensor:
    """Sums (step, b, n, c, chunk) over n, weighted by (..., n, c or 1, chunk or 1)."""
    total = states.select(-3, 0) * weights.select(-3, 0)
    for i in range(1, states.shape[-3]):
        total.addcmul_(states.select(-3, i), weights.select(-3, i))
    return total


def _add_over_channels(total: Tensor, states: Tensor, weights: Tensor) -> None:
    """Adds (step, b, n, c, chunk) summed over c, weighted by (step, b, c, chunk), to total (step, b, n, chunk)."""
    for i in range(states.shape[-2]):
        total.addcmul_(states[..., i, :], weights[:, :, None, i])


def _states(delta: Tensor, x: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes decay and state of every step, (step, b, n, c, chunk), and the state that enters each chunk.

    The chunks first run side by side from a zero state, which tells how each of them ends; then they are chained, and
    run again from the states that really enter them.
    """
    steps, batch, channels, chunks = delta.shape
    decay = delta.new_empty(steps, batch, len(A), channels, chunks)
    h = torch.empty_like(decay)
    end = torch.zeros_like(decay[0])
    for delta_t, x_t, B_t, decay_t, h_t in zip(delta, x, B, decay, h, strict=True):
        torch.mul(delta_t[:, None], A[..., None], out=decay_t).exp_()
        torch.mul(x_t[:, None], B_t[:, :, None], out=h_t)
        torch.addcmul(h_t, decay_t, end, out=end)
    entry = previous = _chain(_total_decay(delta, A), end)
    for decay_t, h_t in zip(decay, h, strict=True):
        previous = h_t.addcmul_(decay_t, previous)
    return decay, h, entry


def _adjoint_states(decay: Tensor, delta: Tensor, A: Tensor, C: Tensor, grad_y: Tensor) -> Tensor:
    """Runs the recurrence backwards in time: grad_h_t = C_t grad_y_t + decay_{t+1} grad_h_{t+1}."""
    grad_h = torch.empty_like(decay)
    end = torch.zeros_like(decay[0])
    for t in reversed(range(len(decay))):
        torch.mul(grad_y[t, :, None], C[t, :, :, None], out=grad_h[t])
        end.add_(grad_h[t]).mul_(decay[t])
    carried = _chain(_total_decay(delta, A).flip(-1), end.flip(-1)).flip(-1)
    for t in reversed(range(len(decay))):
        carried = grad_h[t].add_(carried)
        carried = carried * decay[t]
    return grad_h


def _total_decay(delta: Tensor, A: Tensor) -> Tensor:
    """How much of a state that enters a chunk is left at its end, (b, n, c, chunk)."""
    return torch.exp(delta.sum(0)[:, None] * A[..., None])


def _chain(total: Tensor, end: Tensor) -> Tensor:
    """Returns the state that enters each chunk, given what each adds (`end`) and leaves (`total`), chunks last."""
    total, end = total.movedim(-1, 0).contiguous(), end.movedim(-1, 0).contiguous()
    entry = torch.zeros_like(end)
    for s in range(1, len(end)):
        torch.addcmul(end[s - 1], total[s - 1], entry[s - 1], out=entry[s])
    return entry.movedim(0, -1).contiguous()
