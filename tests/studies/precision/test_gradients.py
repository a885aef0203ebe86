import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gsm_plugin.layers import upsample
from gsm_plugin.ops import shuffle_leaky_relu
from gsm_plugin.studies.precision.gradients import GradientErrors, Step, gradient_errors, smooth_derivatives, take_step


def step(**gradients):
    return Step(torch.zeros(1), {name: torch.tensor(values).double() for name, values in gradients.items()})


def test_errors_are_norms_of_differences_over_norms_without_gradients_that_are_zero():
    exact = step(a=[3.0, 4.0], b=[0.0, 12.0], nothing=[1e-12, 0.0])
    errors = gradient_errors(step(a=[3.0, 5.0], b=[3.0, 12.0], nothing=[1.0, 1.0]), exact, exact)
    assert errors.of == pytest.approx({'a': 0.2, 'b': 0.25})
    assert errors.whole == pytest.approx(10**0.5 / 13)


def test_errors_are_relative_to_what_is_wanted():
    assert gradient_errors(step(a=[1.0]), step(a=[2.0]), step(a=[4.0])).of == {'a': 0.5}


def test_the_middle_the_worst_and_those_above_a_bound():
    errors = GradientErrors(0.0, {'a': 0.3, 'b': 0.1, 'c': 0.4, 'd': 0.2})
    assert (errors.median, errors.worst, errors.above(0.25)) == (0.3, 'c', ['a', 'c'])


@pytest.mark.parametrize('loss_scale', [1.0, 1024.0])
def test_a_step_has_the_gradient_of_the_weighted_mean_alone(loss_scale):
    network, x, weighting = nn.Linear(3, 2, bias=False), torch.randn(4, 3), torch.randn(4, 2).double()
    network.weight.grad = torch.ones(2, 3)
    taken = take_step(network, lambda: network(x), weighting, loss_scale)
    torch.testing.assert_close(taken.gradients['weight'], weighting.t() @ x.double() / 8, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(taken.output, network(x).double())


@pytest.mark.parametrize(('function', 'slope'), [(lambda x: F.relu(x), 0.0), (lambda x: F.leaky_relu(x, 0.1), 0.1)])
def test_smooth_derivatives_leave_results_and_do_not_jump(function, slope):
    x = torch.tensor([-30.0, -1e-9, 1e-9, 30.0], requires_grad=True)
    plain = function(x)
    with smooth_derivatives():
        smooth = function(x)
    assert torch.equal(smooth, plain)
    (derivative,) = torch.autograd.grad(smooth.sum(), x)
    middle = (1 + slope) / 2
    torch.testing.assert_close(derivative, torch.tensor([slope, middle, middle, 1.0]))


@pytest.mark.parametrize('slope', [0.1, 1.0])
def test_the_derivative_of_the_op_of_the_reconstruction_does_not_jump(monkeypatch, slope):
    slopes = []

    def fused(x, bias, factor, slope=1.0, backend='auto'):
        slopes.append(slope)
        return shuffle_leaky_relu(x, bias, factor, slope, backend)

    monkeypatch.setattr(upsample, 'shuffle_leaky_relu', fused)
    conv, x = upsample.FrameConv(3, 8), torch.randn(1, 3, 5, 6)
    plain = conv(x, 2, slope)
    with smooth_derivatives():
        smooth = conv(x, 2, slope)
    torch.testing.assert_close(smooth, plain)
    # what jumps is left to the smooth one
    assert slopes == [slope, 1.0]
    assert (type(smooth.grad_fn).__name__ == '_SmoothLeakyReLUBackward') == (slope != 1)


def test_derivatives_jump_again_afterwards():
    originals = F.leaky_relu, F.relu, upsample.shuffle_leaky_relu
    with pytest.raises(KeyError), smooth_derivatives():
        raise KeyError
    assert (F.leaky_relu, F.relu, upsample.shuffle_leaky_relu) == originals
