import pytest
import torch

from gsm_plugin.layers import checkpointing
from gsm_plugin.ops import tf32


@pytest.mark.parametrize('on', [True, False])
def test_activations_are_computed_again_as_precisely(on):
    seen = []

    def square(x):
        seen.append((tf32.products.is_on(), torch.is_autocast_enabled('cpu')))
        return x * x

    x = torch.rand(3, requires_grad=True)
    with tf32.products.turned(on), torch.autocast('cpu', torch.bfloat16, enabled=on):
        y = checkpointing.run(square, x, recompute=True)
    with tf32.products.turned(not on):
        y.sum().backward()
    assert seen == [(on, on)] * 2
    torch.testing.assert_close(x.grad, 2 * x.detach())
