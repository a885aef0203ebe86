import pytest
import torch

from gsm_plugin.ops import ScanParameters, bidirectional_scan
from tests.ops.comparison import assert_same_function, random_tensors

D, N, R, WIDTH = 6, 4, 2, 4


def inputs(length, batch=2):
    shapes = [(batch, length, D)] * 2 + [(2, D, WIDTH), (2, D), (2, R + 2 * N, D), (2, D, R), (2, D), (2, D, N), (2, D)]
    *tensors, A, skip = random_tensors(*shapes)
    return [*(0.5 * x for x in tensors), -A.exp(), skip]


def with_backend(backend):
    return lambda x, z, *parameters: bidirectional_scan(x, z, ScanParameters(*parameters), backend)


@pytest.mark.parametrize('length', [1, 3, 63, 130])
def test_matches_naive(length):
    assert_same_function(with_backend('torch'), with_backend('naive'), inputs(length))


def test_second_direction_is_the_first_on_the_reversed_sequence():
    x, z, *parameters = inputs(20)
    exchanged = [both.flip(0) for both in parameters]
    forward = with_backend('torch')(x, z, *parameters)
    reverse = with_backend('torch')(x.flip(1), z.flip(1), *exchanged).flip(1)
    torch.testing.assert_close(forward, reverse)


def test_without_decay_in_time_a_token_sees_the_whole_sequence():
    x, z, *parameters = inputs(15, batch=1)
    x.requires_grad_()
    gradient = torch.autograd.grad(with_backend('torch')(x, z, *parameters)[0, 7].sum(), x)[0]
    assert (gradient.abs().sum(-1) > 0).all()


def test_a_wrong_shape_is_named():
    x, z, *parameters = inputs(5)
    with pytest.raises(ValueError, match=r'x has the shape \(2, 5, 6\) and z \(2, 4, 6\)'):
        bidirectional_scan(x, z[:, :4], ScanParameters(*parameters))
