"""BasicSR turns an output that is no number into black pixels, which it saves and scores without a word."""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError


def patch(img_util: ModuleType) -> None:
    """Makes `tensor2img`, through which all of BasicSR's models score and save, refuse such images."""
    original = img_util.tensor2img

    @replaces(img_util)
    def tensor2img(tensor, *arguments, **named):
        import torch

        for image in tensor if isinstance(tensor, list) else [tensor]:
            if torch.is_tensor(image) and not torch.isfinite(image).all():
                raise UserError(
                    'The output of the network holds values that are no numbers (NaN or infinite), so it is neither '
                    'scored nor saved; take weights of an earlier iteration, or a higher precision.'
                )
        return original(tensor, *arguments, **named)
