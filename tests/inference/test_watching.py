import pytest
import torch
from torch import nn

from gsm_plugin.inference.watching import watching


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.layers = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(3))

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return x


def test_every_part_is_told_in_order():
    told, network = [], Network()
    with watching(network, told.append, every_s=0.0):
        network(torch.zeros(1, 3, 2, 2))
    parts = ['first', *[f'layers {number}/3' for number in (1, 1, 2, 2, 3, 3)]]
    assert told == [f'{part}, step {step}' for step, part in enumerate(parts, 1)]


def test_it_is_told_no_more_often_than_asked_for_and_not_afterwards():
    told, network = [], Network()
    with watching(network, told.append, every_s=3600.0):
        network(torch.zeros(1, 3, 2, 2))
    network(torch.zeros(1, 3, 2, 2))
    assert told == []


def test_an_error_leaves_nothing_behind():
    told, network = [], Network()
    with pytest.raises(RuntimeError), watching(network, told.append, every_s=0.0):
        network(torch.zeros(1, 5, 2, 2))
    network(torch.zeros(1, 3, 2, 2))
    assert told == []
