"""The flow network of a recurrent model stays as it is for the first iterations (`train: fix_flow`)."""

from basicsr.utils import get_root_logger
from torch import nn

from gsm_plugin.compat import UserError

FLOW_NETWORK = 'spynet'


class FlowWarmUp:
    """Drops the flow network's gradients before an iteration.

    The graph is the same before and after, so DistributedDataParallel and gradient checkpointing see no change, and
    what happens depends on the iteration alone, so a resumed run goes on as it should. Parameters without gradient
    are passed over by every optimiser, weight decay included.

    Args:
        network: The network, whose flow parameters have `spynet` in their names.
        until: First iteration, counted from 1, in which the flow network is trained; 0 for the first of all.

    Raises:
        UserError: There is something to hold, but the network has no such parameters, or they are frozen.
    """

    def __init__(self, network: nn.Module, until: int):
        self._until = until
        flow = [value for name, value in network.named_parameters() if FLOW_NETWORK in name]
        self._parameters = [value for value in flow if value.requires_grad]
        self._held = False
        if until and flow and not self._parameters:
            raise UserError(
                f'train: fix_flow is {until}, but train: freeze holds {FLOW_NETWORK} for good; take one out.'
            )
        if until and not flow:
            raise UserError(
                f'train: fix_flow is {until}, but no parameter of network_g has {FLOW_NETWORK} in its name; '
                f'take fix_flow out.'
            )

    def hold(self, current_iter: int) -> None:
        """Drops the flow network's gradients if it is too early for them; to be called after each backward pass.

        Args:
            current_iter: The iteration, counted from 1.
        """
        held = current_iter < self._until
        if held != self._held:
            news = f'is fixed before iteration {self._until}' if held else f'is trained from iteration {current_iter}'
            get_root_logger().info(f'The flow network {news}.')
        self._held = held
        if held:
            for parameter in self._parameters:
                parameter.grad = None
