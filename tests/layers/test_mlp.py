import torch
from torch import nn
from torch.nn import functional as F

from gsm_plugin.layers.mlp import ConvMlp, GatedMlp


def test_the_gated_network_multiplies_an_activated_half_with_a_linear_one():
    torch.manual_seed(0)
    mlp, x = GatedMlp(6, 10).double(), torch.randn(2, 3, 6, dtype=torch.float64)
    expected = mlp.fc2(F.gelu(mlp.fc11(x)) * mlp.fc12(x))
    torch.testing.assert_close(mlp(x), expected)


def test_the_convolution_stands_between_the_two_projections():
    torch.manual_seed(0)
    mlp, x = ConvMlp(4, 8).double(), torch.randn(1, 3, 5, 6, 4, dtype=torch.float64)
    hidden = mlp.dwconv.dwconv(mlp.fc1(x).movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(mlp(x), mlp.fc2(F.gelu(hidden)))


def test_the_convolution_has_the_published_keys():
    shapes = {name: tuple(value.shape) for name, value in ConvMlp(4, 8).state_dict().items()}
    assert shapes['dwconv.dwconv.weight'] == (8, 1, 3, 3, 3)
    assert shapes['dwconv.dwconv.bias'] == (8,)


def test_every_parameter_of_both_networks_gets_a_gradient():
    for mlp in (GatedMlp(4, 8), ConvMlp(4, 8)):
        assert isinstance(mlp, nn.Module)
        mlp(torch.randn(1, 2, 3, 3, 4)).square().sum().backward()
        assert all(parameter.grad.any() for parameter in mlp.parameters())
