import pytest
import torch

from gsm_plugin.layers import checkpointing
from gsm_plugin.layers.precision import is_plain, plainly
from gsm_plugin.layers.sharing import shared, sharing
from gsm_plugin.switches import tf32


@pytest.mark.parametrize('on', [True, False])
def test_activations_are_computed_again_as_precisely(on):
    seen = []

    def square(x):
        seen.append((tf32.products.is_on(), torch.is_autocast_enabled('cpu'), is_plain()))
        return x * x

    x = torch.rand(3, requires_grad=True)
    with tf32.products.turned(on), torch.autocast('cpu', torch.bfloat16, enabled=on), plainly(on):
        y = checkpointing.run(square, x, recompute=True)
    with tf32.products.turned(not on):
        y.sum().backward()
    assert seen == [(on, on, on)] * 2
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_what_is_shared_is_made_once_and_read_again_where_activations_are_computed_again():
    weight, made = torch.rand(3, requires_grad=True), []

    def doubled():
        made.append(None)
        return 2 * weight

    def multiply(x):
        return x * shared(doubled)

    x = torch.rand(3, requires_grad=True)
    with sharing(doubled):
        y = [checkpointing.run(multiply, x, recompute=True) for _ in range(2)]
    sum(y).sum().backward()
    assert len(made) == 1
    torch.testing.assert_close(weight.grad, 4 * x.detach())
    torch.testing.assert_close(x.grad, 4 * weight.detach())
    shared(doubled)
    assert len(made) == 2
