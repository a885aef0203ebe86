"""A network of a few weights that enlarges four times, clips that move, and a computation of scores that is its own."""

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import numpy as np
import torch
import yaml
from basicsr.utils.registry import ARCH_REGISTRY
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn
from torch.nn import functional as F


class TinyVSR(nn.Module):
    """Adds a little of the past frames to a bilinear enlargement, so order and flipping matter."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(6, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 48, 3, padding=1))

    def forward(self, x):
        past = x.cumsum(1) / torch.arange(1, x.shape[1] + 1).view(-1, 1, 1, 1)
        details = F.pixel_shuffle(self.body(torch.cat((x, past), 2).flatten(0, 1)), 4)
        base = F.interpolate(x.flatten(0, 1), scale_factor=4, mode='bilinear', align_corners=False)
        return (base + 0.2 * details).unflatten(0, x.shape[:2])


if 'TinyVSR' not in ARCH_REGISTRY:
    ARCH_REGISTRY.register(TinyVSR)


def write_network(folder, seed=0, name='tiny', **val):
    """Writes weights and an option file; returns the network and the file."""
    torch.manual_seed(seed)
    network = TinyVSR()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({'params': network.state_dict()}, folder / f'{name}.pth')
    options = {
        'name': name,
        'network_g': {'type': 'TinyVSR', 'width': 4},
        'path': {'pretrain_network_g': str(folder / f'{name}.pth')},
        'val': {'save_img': False, **val},
    }
    (folder / f'{name}.yml').write_text(yaml.safe_dump(options))
    return network.eval(), folder / f'{name}.yml'


def moving_frames(count, height=48, width=64, seed=0):
    """A textured image that shifts by a pixel or two from frame to frame: (h, w, 3), uint8, BGR."""
    noise = np.random.default_rng(seed)
    coarse = noise.uniform(30, 220, (height // 4 + 8, width // 4 + 8, 3)).astype(np.float32)
    image = np.asarray(Image.fromarray(coarse.astype(np.uint8)).resize((width + 32, height + 32), Image.BICUBIC))
    return [np.ascontiguousarray(image[i : i + height, 2 * i : 2 * i + width]) for i in range(count)]


def read_rgb(path):
    return np.asarray(Image.open(path).convert('RGB'))


def restore(network, lq_paths, flip=False):
    """The straightforward way: all frames at once, float32, rounded to 8 bit; (t, h, w, 3) RGB."""
    clip = torch.from_numpy(np.stack([read_rgb(path) for path in lq_paths])).permute(0, 3, 1, 2)[None].float() / 255
    with torch.no_grad():
        if flip:
            both = network(torch.cat((clip, clip.flip(1)), 1))
            output = (both[:, : clip.shape[1]] + both[:, clip.shape[1] :].flip(1)) / 2
        else:
            output = network(clip)
    return (output[0].clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def scores(image, gt, channel):
    """PSNR and SSIM by scikit-image, of RGB images."""
    if channel == 'y':
        weights = np.array([65.481, 128.553, 24.966]) / 255
        image, gt = (part.astype(np.float64) @ weights + 16 for part in (image, gt))
    image, gt = image.astype(np.float64), gt.astype(np.float64)
    psnr = peak_signal_noise_ratio(gt, image, data_range=255)
    ssim = structural_similarity(
        gt,
        image,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1 if channel == 'rgb' else None,
    )
    return psnr, ssim
