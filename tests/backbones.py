"""Random weights where LPIPS and DISTS would download those of ImageNet, always the same."""

from functools import cache
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.vgg import cfgs, make_layers


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ('lpips', 'DISTS_pytorch'):
        pytest.importorskip(package)
    for name in ('alexnet', 'vgg16'):
        monkeypatch.setattr(torchvision.models, name, lambda pretrained, name=name: random_backbone(name))


@cache
def random_backbone(name: str) -> SimpleNamespace:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = torchvision.models.AlexNet().features if name == 'alexnet' else make_layers(cfgs['D'])
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                # So that deep layers see something of the image too.
                nn.init.kaiming_normal_(layer.weight)
    return SimpleNamespace(features=features)
