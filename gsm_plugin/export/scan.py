"""The selective scan in a form that exporters take: chunks in lockstep, by loops that are nodes of the graph."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def scan_in_lockstep(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Computes what `selective_scan_naive` does, with the same arguments, in about `3 sqrt(l)` rounds of loops.

    The sequence is cut into about sqrt(l) chunks. A first loop runs all of them at once, from nothing, to the state
    that each would end with; a second one, from chunk to chunk, finds what enters each; a third one runs all of them
    again from there. Nothing of the size of all states is ever in memory.
    """
    batch, _, length = u.shape
    steps = max(1, math.isqrt(_example(length)))
    delta_, x, B_, C_ = (_chunks_of(sequence, steps) for sequence in (delta, delta * u, B, C))
    ends, _ = loop(_end, u.new_zeros(x.shape[1], *A.shape), (delta_, x, B_), A)
    decays = torch.exp(delta_.sum(0)[..., None] * A)
    per_chunk = [_restrided(value.unflatten(0, (batch, -1)).transpose(0, 1)) for value in (decays, ends)]
    _, entries = loop(_enter, u.new_zeros(batch, *A.shape), per_chunk, A)
    _, y = loop(step, _restrided(entries.transpose(0, 1)).flatten(0, 1), (delta_, x, B_, C_), A)
    return y.unflatten(1, (batch, -1)).permute(1, 3, 2, 0).flatten(2)[..., :length]


def loop(round_: Callable[..., list[Tensor]], state: Tensor, sequences: Sequence[Tensor], A: Tensor) -> list[Tensor]:
    """The last state and what all rounds gave, stacked; one node of a graph, and of ONNX.

    Args:
        round_: Takes the state, an element of each sequence and `A`; gives the new state and a tensor.
        state: What enters the first round.
        sequences: Their first axis is that of rounds.
        A: Passed to every round.
    """
    # `scan` of torch._higher_order_ops compiles each loop first, which takes most of the time of an export
    return torch.ops.higher_order.scan(round_, [state], list(sequences), (A,))


def step(state: Tensor, delta: Tensor, x: Tensor, B: Tensor, C: Tensor, A: Tensor) -> list[Tensor]:
    """A step of all chunks: state (chunks, d, n), delta and x (chunks, d), B and C (chunks, n)."""
    state = torch.exp(delta[..., None] * A) * state + x[..., None] * B[:, None]
    return [state, (state * C[:, None]).sum(-1)]


def _end(state: Tensor, delta: Tensor, x: Tensor, B: Tensor, A: Tensor) -> list[Tensor]:
    state = torch.exp(delta[..., None] * A) * state + x[..., None] * B[:, None]
    # a loop has to give something in every round
    return [state, delta[0, 0].clone()]


def _enter(state: Tensor, decay: Tensor, own: Tensor, A: Tensor) -> list[Tensor]:
    return [decay * state + own, state.clone()]


def _example(length: int | torch.SymInt) -> int:
    """The length; of one that stays open in a trace, that of the example, which fixes the steps but not the chunks."""
    if isinstance(length, int):
        return length
    hint: Any = length.node.hint
    return hint


def _chunks_of(sequence: Tensor, steps: int) -> Tensor:
    """(b, c, l) -> (steps, b * chunks, c); steps of zero at the end change no state."""
    padded = F.pad(sequence, (0, -sequence.shape[-1] % steps))
    return _restrided(padded.unflatten(-1, (-1, steps)).permute(3, 0, 2, 1)).flatten(1, 2)


def _restrided(x: Tensor) -> Tensor:
    """In the order of memory that loops ask for; `contiguous` leaves axes of one element as they are."""
    return x.clone(memory_format=torch.contiguous_format)
