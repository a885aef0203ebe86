"""Changes to how frames are gathered, for the question what makes a network use motion sooner (docs/training.md)."""

from torch import Tensor

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.precision import training_policy
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.ops import flow_warp, linear

_RATE = 4.0  # of the implicit warp, relative to the rest
_STRENGTH = 4.0  # of positions, relative to the published ones


def warp_bilinearly() -> None:
    """Frames are gathered by bilinear warping of their values, without queries and keys."""

    @replaces(ImplicitWarp)
    def forward(self, frames: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        with training_policy(frames).gather.on(frames):
            return flow_warp(linear(frames, self.v.weight, self.v.bias), flow)


def strengthen_positions() -> None:
    """The positions that are added to keys and values are several times as large."""
    construct = ImplicitWarp.__init__

    @replaces(ImplicitWarp)
    def __init__(self, dim: int, num_heads: int, backend: str = 'auto') -> None:
        construct(self, dim, num_heads, backend)
        self.position_bias *= _STRENGTH


def speed_up_implicit_warp() -> None:
    """The implicit warp learns at several times the rate of the rest."""
    set_up = GSMModel.setup_optimizers

    @replaces(GSMModel)
    def setup_optimizers(self) -> None:
        set_up(self)
        warps = (module for module in self.get_bare_model(self.net_g).modules() if isinstance(module, ImplicitWarp))
        own = {id(parameter): parameter for warp in warps for parameter in warp.parameters()}
        group = self.optimizer_g.param_groups[0]
        group['params'] = [parameter for parameter in group['params'] if id(parameter) not in own]
        self.optimizer_g.add_param_group({**group, 'params': [*own.values()], 'lr': _RATE * group['lr']})


WARPS = {
    'bilinear-warp': warp_bilinearly,
    'strong-positions': strengthen_positions,
    'fast-warp': speed_up_implicit_warp,
}
