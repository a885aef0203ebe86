"""Compares the fast network with the naive one in float64, and beside it the naive network in the same precision."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.studies.clips import StudyClip, psnr
from gsm_plugin.studies.networks import NAIVE
from gsm_plugin.studies.precision.cases import Case
from gsm_plugin.studies.precision.gradients import GradientErrors, Step, gradient_errors, smooth_derivatives, take_step

COLUMNS = ('precision', 'network', 'PSNR, dB', 'gradient', 'median', 'worst', 'of', 'too far')
CLIP_COLUMNS = ('clip', 'PSNR in fp32', 'in bf16', 'bf16 against fp32, dB')
LEAST_PSNR = 80.0
LARGEST_OF_NAIVE = 0.1
BOUNDS = {'fp32': 1e-4, 'tf32': 2e-2, 'bf16': 2e-2, 'fp16': 2e-2}


class Comparison(NamedTuple):
    """Rows of `COLUMNS`, and whether the fast network is as near as it has to be."""

    rows: list[list[str]]
    is_good: bool


def steps_of(precisions: Sequence[str]) -> int:
    """How many training steps `compare` takes."""
    return 1 + 2 * len(precisions)


def compare(case: Case, precisions: Sequence[str], kinks: bool, step_done: Callable[[], object]) -> Comparison:
    """Takes a step of the fast and of the naive network in each precision.

    Args:
        case: Network and clip.
        precisions: Keys of `BOUNDS`.
        kinks: Leave the jumps of ReLUs' derivatives as they are; then the last bit of an activation decides there
            between two gradients, and single parameters count in float32 alone.
        step_done: Called after each step.
    """
    rows: list[list[str]] = []
    with nullcontext() if kinks else smooth_derivatives():
        expected = _step(case.network(**NAIVE).double(), case, 'fp32', step_done)
        good = True
        for precision in precisions:
            fast = _step(case.network(cuda_graphs=case.clip.is_cuda), case, precision, step_done)
            naive = _step(case.network(**NAIVE), case, precision, step_done)
            pairs = {'fast': (fast, expected), 'naive': (naive, expected), 'fast against naive': (fast, naive)}
            errors = {name: gradient_errors(*pair, expected) for name, pair in pairs.items()}
            for name, (actual, wanted) in pairs.items():
                distance = f'{_psnr(actual.output, wanted.output):.1f}'
                rows.append([precision, name, distance, *_summary(errors[name], BOUNDS[precision])])
            good &= _is_near(errors['fast'], errors['naive'], precision, kinks)
            if precision == 'fp32':
                good &= _psnr(fast.output, expected.output) >= LEAST_PSNR
    return Comparison(rows, good)


def is_deterministic(case: Case, step_done: Callable[[], object]) -> bool:
    """Whether two steps in bf16 are equal bit for bit under PyTorch's deterministic algorithms."""
    torch.use_deterministic_algorithms(True)
    try:
        network = case.network(cuda_graphs=case.clip.is_cuda)
        one, other = (_step(network, case, 'bf16', step_done) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    equal = torch.equal(one.output, other.output)
    return equal and all(torch.equal(gradient, other.gradients[name]) for name, gradient in one.gradients.items())


@torch.no_grad()
def compare_quality(network: GSMamba, clip: StudyClip) -> list[str]:
    """A row of `CLIP_COLUMNS`: what bf16 costs in inference."""
    network.eval()
    with policy_for('inference', 'fp32').running(clip.lq.device):
        full = network(clip.lq)
    with policy_for('inference', 'bf16').running(clip.lq.device):
        half = network(clip.lq).float()
    scores = [psnr(output, clip.gt) for output in (full, half)]
    return [clip.name, *(f'{score:.4f}' for score in scores), f'{_psnr(half, full):.1f}']


def _step(network: GSMamba, case: Case, precision: str, step_done: Callable[[], object]) -> Step:
    policy, device = policy_for('training', precision), case.clip.device

    def run() -> Tensor:
        with policy.autocasting(device):
            return network(case.clip.to(next(network.parameters()).dtype))

    # without it, small gradients vanish, as they would without the scaler in training
    loss_scale = 2.0**16 if policy.scales_loss else 1.0
    with policy.multiplying_float32(device):
        step = take_step(network, run, case.weighting, loss_scale)
    step_done()
    return step


def _is_near(fast: GradientErrors, naive: GradientErrors, precision: str, kinks: bool) -> bool:
    bound = BOUNDS[precision]
    good = naive.whole <= LARGEST_OF_NAIVE and fast.whole <= max(bound, 2 * naive.whole)
    if precision == 'fp32' or not kinks:
        limits = {name: max(bound, 2 * error) for name, error in naive.of.items()}
        good &= all(error <= limits[name] for name, error in fast.of.items())
    return good


def _summary(errors: GradientErrors, bound: float) -> list[str]:
    """The whole gradient; median and worst parameter, its name, and how many are off by more than a bound."""
    above = errors.above(bound)
    places = sorted({name.split('.')[0] for name in above})
    count = f'{len(above)} of {len(errors.of)}' + f' ({", ".join(places)})' * (0 < len(places) < 3)
    return [*(f'{x:.1e}' for x in (errors.whole, errors.median, errors.of[errors.worst])), errors.worst, count]


def _psnr(first: Tensor, second: Tensor) -> float:
    return (-10 * torch.log10((first.double() - second.double()).square().mean())).item()
