"""A recurrent network of a few weights, clips of a few pixels, and options for them as BasicSR's parsing makes them."""

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import cv2
import numpy as np
import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

SCALE = 2


class TinyRecurrentNet(nn.Module):
    """Every output frame depends on the frames before it, and on a flow network that is none."""

    def __init__(self, width=3):
        super().__init__()
        self.spynet = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(3 + width, 3 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE))

    def forward(self, x):
        b, t, _, h, w = x.shape
        past = x.cumsum(1) / torch.arange(1, t + 1, device=x.device).view(-1, 1, 1, 1)
        features = torch.cat([x.flatten(0, 1), self.spynet(past.flatten(0, 1))], 1)
        return self.body(features).view(b, t, 3, h * SCALE, w * SCALE)


class TinyFlowNet(nn.Module):
    """A network that tells its flows; its flow network is a convolution."""

    def __init__(self, spynet_path=None):
        super().__init__()
        self.spynet = nn.Conv2d(3, 2, 1)
        self.body = nn.Sequential(nn.Conv2d(5, 3 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE))
        self.flow_observer = None
        if spynet_path:
            self.spynet.load_state_dict(torch.load(spynet_path, weights_only=True))

    def estimate_flows(self, x, flow_network=None):
        flow_network = flow_network or self.spynet
        flows = flow_network(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return flows[:, :-1], -flows[:, 1:]

    def forward(self, x, flows=None):
        flows = flows or self.estimate_flows(x)
        if torch.is_grad_enabled() and self.flow_observer is not None:
            self.flow_observer(x, *flows)
        flow = torch.cat((flows[0], torch.zeros_like(x[:, :1, :2])), 1)
        output = self.body(torch.cat((x, flow), 2).flatten(0, 1))
        return output.unflatten(0, x.shape[:2])


class FlowlessNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x.flatten(0, 1)).view_as(x)


for network in (TinyRecurrentNet, TinyFlowNet, FlowlessNet):
    if network.__name__ not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(network)

METRICS = {
    'psnr': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False},
    'ssim': {'type': 'calculate_ssim', 'crop_border': 0, 'test_y_channel': False},
}


def make_options(root, is_train=True, **changes):
    """Options of a training or a test below `root`; `changes` replace keys, or add to `train`, `val` and `path`."""
    opt = {
        'name': 'tiny',
        'model_type': 'GSMModel',
        'scale': SCALE,
        'num_gpu': 0,
        'manual_seed': 0,
        'dist': False,
        'rank': 0,
        'world_size': 1,
        'is_train': is_train,
        'network_g': {'type': 'TinyRecurrentNet'},
        'path': {key: str(root / key) for key in ('models', 'training_states', 'visualization')},
        'val': {'metrics': {name: dict(metric) for name, metric in METRICS.items()}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 12},
    }
    if is_train:
        opt['train'] = {
            'ema_decay': 0.5,
            'optim_g': {'type': 'Adam', 'lr': 1e-2, 'eps': 1e-3},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [1000]},
            'pixel_opt': {'type': 'CharbonnierLoss', 'loss_weight': 1.0, 'reduction': 'mean'},
        }
    for key in ('models', 'training_states'):
        (root / key).mkdir(parents=True, exist_ok=True)
    for key, value in changes.items():
        if key in ('train', 'val', 'path'):
            opt[key].update(value)
        else:
            opt[key] = value
    return opt


def make_batch(seed=0, size=1, frames=2):
    noise = torch.Generator().manual_seed(seed)
    lq = torch.rand(size, frames, 3, 6, 6, generator=noise)
    return {'lq': lq, 'gt': torch.rand(size, frames, 3, 6 * SCALE, 6 * SCALE, generator=noise), 'key': ['a/0'] * size}


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def write_clip(root, clip, frames, size=(8, 10), names='{:08d}', kinds=('LQ', 'GT')):
    """Writes a clip of noise below root/LQ and root/GT, the same one for the same names."""
    noise = np.random.default_rng(sum(map(ord, clip)) + frames)
    for frame in range(frames):
        for kind, factor in (('LQ', 1), ('GT', SCALE)):
            image = noise.integers(0, 256, (size[0] * factor, size[1] * factor, 3), np.uint8)
            if kind in kinds:
                path = root / kind / clip / f'{names.format(frame)}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), image)


def folders_set(root, name, with_gt=True):
    """VideoFoldersDataset of what `write_clip` wrote."""
    from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset

    return VideoFoldersDataset(
        {
            'name': name,
            'type': 'VideoFoldersDataset',
            'phase': 'val',
            'scale': SCALE,
            'dataroot_lq': str(root / 'LQ'),
            'dataroot_gt': str(root / 'GT') if with_gt else None,
        }
    )


def loader_of(dataset):
    return torch.utils.data.DataLoader(dataset)
