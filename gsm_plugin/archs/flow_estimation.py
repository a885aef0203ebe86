"""Optical flow between the frames of a clip by SPyNet (arXiv 1611.00850), as BasicSR has it, for clips of any size."""

from pathlib import Path

from torch import Tensor, nn

from gsm_plugin.errors import UserError
from gsm_plugin.layers.flow_pyramid import flow_pyramids
from gsm_plugin.layers.precision import training_policy
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.weights.finding import path_of
from gsm_plugin.weights.finite import check_values
from gsm_plugin.weights.loading import fit_file


def build_spynet(path: str | Path | None = None) -> SpyNet:
    """Makes a SPyNet, with weights from a file if one is given.

    Args:
        path: Weights in any layout of `read_weights`, of SPyNet alone or of a network that contains it as `spynet`
            (BasicVSR files), as BasicSR or mmagic names them; or a name of `basicsr weights list`, such as
            `gsm-small-x4`, which comes with the package.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file does not hold the weights of SPyNet, or values are not finite.
    """
    spynet = SpyNet()
    if path is not None:
        path = path_of(path)
        if not path.is_file():
            raise FileNotFoundError(f'spynet_path {path} does not exist; correct it, or leave it out.')
        _load(spynet, path)
    return spynet


def estimate_flows(spynet: SpyNet, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates the flow between neighbouring frames, both ways.

    Args:
        spynet: The flow network. It runs as `Policy.flow_network` says, in the clip's type and without TF32.
        clip: (b, t, 3, h, w), in [0, 1]. Sides of 32 pixels and less are enlarged by reflection for the network.

    Returns:
        flows_backward, on the grid of frame i and pointing into frame i + 1, and flows_forward, on the grid of frame
        i + 1 and pointing into frame i, both (b, t - 1, 2, h, w), pixels, x then y.
    """
    (backward,), (forward,) = estimate_flow_pyramids(spynet, clip, 1)
    return backward, forward


def estimate_flow_pyramids(spynet: SpyNet, clip: Tensor, levels: int) -> tuple[list[Tensor], list[Tensor]]:
    """Estimates the flow between neighbouring frames at several resolutions, both ways (VRT, arXiv 2201.12288).

    Args:
        spynet: The flow network. It runs as `Policy.flow_network` says, in the clip's type and without TF32.
        clip: (b, t, 3, h, w), in [0, 1], with sides that can be halved levels - 1 times. Sides of 32 pixels and less
            are enlarged by reflection for the network.
        levels: Number of resolutions, up to 6.

    Returns:
        As of `estimate_flows`, for each level i from fine to coarse: (b, t - 1, 2, h / 2**i, w / 2**i), in pixels of
        that level.
    """
    with training_policy(clip).flow_network.on(clip):
        return flow_pyramids(spynet, clip, levels, _warp, _refine)


def _refine(module: nn.Module, images: Tensor) -> Tensor:
    return module(images)


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    """By BasicSR's `flow_warp`, whose gradient can be deterministic."""
    # here, since BasicSR brings OpenCV and much else along
    from basicsr.archs.arch_util import flow_warp

    return flow_warp(image, flow.permute(0, 2, 3, 1), padding_mode='border')


def _load(spynet: SpyNet, path: Path) -> None:
    _, fit = fit_file(spynet, path)
    # The normalisation is constant, and some files leave it out.
    lacking = [*(name for name in fit.missing if name not in ('mean', 'std')), *fit.resized]
    if lacking:
        raise UserError(f"{path} lacks {min(lacking)} of SPyNet; give a SPyNet or BasicVSR file of BasicSR's.")
    check_values(fit.weights, spynet.state_dict(), path)
    spynet.load_state_dict(fit.weights, strict=False)
