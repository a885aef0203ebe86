"""LPIPS (Zhang et al., CVPR 2018), DISTS (Ding et al., TPAMI 2020), tOF and tLP of TecoGAN (Chu et al., 2020), and MSE
of what neighbouring frames hide.

The networks of LPIPS and DISTS are those of their authors' packages, which are imported only where they are asked for.
tOF and tLP are as in TecoGAN's metrics.py, but of all scored frames: that script leaves out two frames at both ends of
a clip and at least 8 pixels at each side.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from gsm_plugin.errors import UserError
from gsm_plugin.metrics.measures import MEASURES, PARTS_OF_MSE
from gsm_plugin.metrics.occlusion import hidden_in, squared_errors


@dataclass(frozen=True)
class _Package:
    """A package with a network that tells how far apart two images are.

    Attributes:
        requirement: Its name in the package index.
        backbone: Enumeration of torchvision that has the weights which it downloads.
        black: Value of black in its images, where white is 1.
        build: Makes the network from the imported package.
    """

    requirement: str
    backbone: str
    black: int
    build: Callable[[ModuleType], nn.Module]


def _build_lpips(package: ModuleType) -> nn.Module:
    return package.LPIPS(net='alex', verbose=False)


def _build_dists(package: ModuleType) -> nn.Module:
    network = package.DISTS(load_weights=False)
    # By itself it looks for them in sys.prefix, where some ways of installing do not put them.
    weights = torch.load(Path(package.__path__[0], 'weights.pt'), weights_only=True)
    network.alpha.data, network.beta.data = weights['alpha'], weights['beta']
    return network


PACKAGES = {
    'lpips': _Package('lpips', 'AlexNet_Weights', -1, _build_lpips),
    'DISTS_pytorch': _Package('DISTS-pytorch', 'VGG16_Weights', 0, _build_dists),
}


class Perceptual:
    """Scores clips by some of `MEASURES`.

    Args:
        names: Keys of `MEASURES`; without any, nothing is scored.

    Raises:
        UserError: A package is missing, or its weights are not there and cannot be downloaded.
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self._networks: dict[str, nn.Module] = {}
        for name in names:
            package = MEASURES[name].network
            if package is not None and package not in self._networks:
                self._networks[package] = _load(package, name)

    def score(
        self, outputs: Iterable[np.ndarray], gts: Iterable[np.ndarray], crop_border: int, device: torch.device
    ) -> dict[str, tuple[float, ...]]:
        """Scores a clip.

        Args:
            outputs: Frames (h, w, 3), uint8, BGR.
            gts: Their ground truth, as many.
            crop_border: Pixels that are cut away at each side before.
            device: Where the networks run.

        Returns:
            By measure the value of each frame; of temporal ones, of each two consecutive frames.
        """
        values: dict[str, list[float]] = {name: [] for name in self.names}
        if not values:
            return {}
        pairs = ([_cut(image, crop_border) for image in pair] for pair in zip(outputs, gts, strict=True))
        before: Sequence[np.ndarray] | None = None
        with self._ready(device):
            for now in pairs:
                for name in self.names:
                    if not MEASURES[name].temporal:
                        values[name].append(self._distance(name, *now))
                    elif before is not None:
                        values[name].append(self._change(name, before, now))
                before = now
        return {name: tuple(row) for name, row in values.items()}

    def _change(self, name: str, before: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> float:
        if name == 'tof':
            return flow_difference(before, now)
        if name in PARTS_OF_MSE:
            return squared_errors(now, hidden_in(before[1], now[1]))[PARTS_OF_MSE.index(name)]
        output, gt = (self._distance(name, *images) for images in zip(before, now, strict=True))
        return 100 * abs(output - gt)

    def _distance(self, name: str, first: np.ndarray, second: np.ndarray) -> float:
        package = MEASURES[name].network
        assert package is not None
        network, black = self._networks[package], PACKAGES[package].black
        device = next(network.parameters()).device
        images = [black + (1 - black) * _tensor(image).to(device) for image in (first, second)]
        return network(*images).item()

    @contextmanager
    def _ready(self, device: torch.device) -> Iterator[None]:
        """The networks are on a GPU meanwhile only, so that the peak memory of what is scored is its own."""
        try:
            for network in self._networks.values():
                network.to(device)
            # TF32 would make the values depend on the card.
            with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        finally:
            for network in self._networks.values():
                network.to('cpu')


def flow_difference(before: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> float:
    """tOF: how far apart the motions of output and ground truth are from one frame to the next.

    Args:
        before: Output and ground truth, (h, w, 3), uint8, BGR.
        now: The frames after them.

    Returns:
        Mean length of the difference of the two optical flows, in pixels.
    """
    output, gt = (_flow(*images) for images in zip(before, now, strict=True))
    return float(np.linalg.norm(output - gt, axis=-1).mean())


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Optical flow (h, w, 2) of Farneback, with TecoGAN's parameters."""
    import cv2

    first, second = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (first, second))
    result = np.empty((*first.shape, 2), np.float32)
    return cv2.calcOpticalFlowFarneback(
        first, second, result, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
    )


def _load(package: str, measure: str) -> nn.Module:
    entry = PACKAGES[package]
    try:
        module = import_module(package)
    except ImportError as error:
        raise UserError(
            f'--metrics {measure} needs the package {entry.requirement}, which cannot be imported ({error}); run '
            f'pip install {entry.requirement}, or leave {measure} out.'
        ) from error
    try:
        with warnings.catch_warnings():
            # Both packages ask torchvision for weights in the old way.
            warnings.filterwarnings('ignore', category=UserWarning, module='torchvision')
            return entry.build(module).eval()
    except (OSError, RuntimeError, HTTPException, UnpicklingError, EOFError) as error:
        import torchvision

        url = getattr(torchvision.models, entry.backbone).IMAGENET1K_V1.url
        place = Path(torch.hub.get_dir(), 'checkpoints', Path(url).name)
        raise UserError(
            f'--metrics {measure} needs {url}, which could not be had ({type(error).__name__}); put the file at '
            f'{place} yourself, or leave {measure} out.'
        ) from error


def _cut(image: np.ndarray, border: int) -> np.ndarray:
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[border : height - border, border : width - border])


def _tensor(image: np.ndarray) -> Tensor:
    """(1, 3, h, w), float32 RGB in [0, 1]."""
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
