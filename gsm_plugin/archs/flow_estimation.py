"""Optical flow between the frames of a clip by BasicSR's SPyNet (arXiv 1611.00850), for clips of any size."""

from pathlib import Path

import torch
from basicsr.archs.spynet_arch import SpyNet
from torch import Tensor

from gsm_plugin.compat.weight_names import to_basicsr_names

# BasicSR's SPyNet halves the image five times and fails where that leaves nothing.
_SMALLEST_SIDE = 33
_PADDED_SIDE = 64
# In inference, pairs are taken in groups of at most so many pixels, so that memory does not grow with the clip.
_PIXELS_AT_ONCE = 2**21


def build_spynet(path: str | Path | None = None) -> SpyNet:
    """Makes BasicSR's SPyNet, with weights from a file if one is given.

    Args:
        path: Weights under `params`, `state_dict` or bare, of SPyNet alone or of a network that contains it as `spynet`
            (BasicVSR files), as BasicSR or mmagic names them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold the weights of SPyNet.
    """
    spynet = SpyNet()
    if path is not None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'spynet_path {path} does not exist; correct it, or leave it out.')
        spynet.load_state_dict(_read_weights(path, set(spynet.state_dict())))
    return spynet


def estimate_flows(spynet: SpyNet, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates the flow between neighbouring frames, both ways.

    Args:
        spynet: The flow network. It runs in the clip's precision, even under autocast.
        clip: (b, t, 3, h, w), in [0, 1]. Sides of 32 pixels and less are enlarged by reflection for the network.

    Returns:
        flows_backward, on the grid of frame i and pointing into frame i + 1, and flows_forward, on the grid of frame
        i + 1 and pointing into frame i, both (b, t - 1, 2, h, w), pixels, x then y.
    """
    b, t, c, h, w = clip.shape
    if t == 1:
        none = clip.new_zeros(b, 0, 2, h, w)
        return none, none
    with torch.autocast(clip.device.type, enabled=False):
        padded = _reflect(_reflect(clip, -1), -2)
        first, second = (frames.reshape(-1, c, *padded.shape[-2:]) for frames in (padded[:, :-1], padded[:, 1:]))
        ref, supp = torch.cat((first, second)), torch.cat((second, first))
        group = len(ref) if torch.is_grad_enabled() else max(1, _PIXELS_AT_ONCE // padded[0, 0, 0].numel())
        flows = torch.cat([spynet(*pair) for pair in zip(ref.split(group), supp.split(group), strict=True)])
    backward, forward = flows[..., :h, :w].reshape(2, b, t - 1, 2, h, w)
    return backward, forward


def _reflect(clip: Tensor, axis: int) -> Tensor:
    """Extends a short side at its end by reflecting it as often as it takes."""
    side = clip.shape[axis]
    if side >= _SMALLEST_SIDE:
        return clip
    period = max(1, 2 * side - 2)
    place = torch.arange(_PADDED_SIDE, device=clip.device) % period
    return clip.index_select(axis, torch.where(place < side, place, period - place))


def _read_weights(path: Path, expected: set[str]) -> dict[str, Tensor]:
    content = torch.load(path, map_location='cpu', weights_only=True)
    weights = content.get('params', content.get('state_dict', content)) if isinstance(content, dict) else {}
    weights = {name.removeprefix('generator.'): value for name, value in weights.items()}
    if any(name.startswith('spynet.') for name in weights):
        weights = {name.removeprefix('spynet.'): value for name, value in weights.items() if name.startswith('spynet.')}
    names = to_basicsr_names(weights, expected)
    weights = {names[name]: value for name, value in weights.items()}
    # The normalisation is constant, and some files leave it out.
    missing = expected - set(weights) - {'mean', 'std'}
    if missing:
        raise ValueError(f"{path} lacks {sorted(missing)[0]} of SPyNet; give a SPyNet or BasicVSR file of BasicSR's.")
    defaults = SpyNet().state_dict()
    return {name: weights.get(name, defaults[name]) for name in expected}
