"""What spandrel wants to know of an architecture: how it is recognised, and how it is made of weights."""

import logging

import torch
from spandrel import Architecture, ImageModelDescriptor, StateDict
from spandrel.util import KeyCondition
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.errors import UserError
from gsm_plugin.weights import settings_buffer
from gsm_plugin.weights.recognition import recognise

_logger = logging.getLogger('basicsr.gsm_plugin')
_STAGE = 'prop_layers.0.stage'
# In ImageModelDescriptor, an image; here a clip as well.
_FRAME, _CLIP = 4, 5


class GSMArch(Architecture[GSMamba]):
    """Gather-Scatter Mamba, told by names that no other network has together."""

    def __init__(self) -> None:
        super().__init__(
            id='GSM',
            name='GSM',
            detect=KeyCondition.has_all(
                'conv_first.weight',
                f'{_STAGE}.attn_blocks.blocks.0.attn.qkv_self.weight',
                f'{_STAGE}.mamba_block.mamba.A_log',
                f'{_STAGE}.mamba_block.mamba.A_b_log',
                'implicit_align.position_bias',
                'conv_last.weight',
            ),
        )

    def load(self, state_dict: StateDict) -> 'ClipModelDescriptor':
        """Makes the network whose sizes the weights have; what no shape tells comes from the settings buffer.

        Raises:
            UserError: Weights are missing, or there is a buffer that cannot be read.
        """
        weights = dict(state_dict)
        buffer = weights.pop(settings_buffer.NAME, None)
        found = recognise(weights)
        settings = found.assumed if buffer is None else settings_buffer.read_settings(buffer)
        if buffer is None:
            told = ', '.join(f'{key} {value}' for key, value in settings.items())
            _logger.warning(
                f'These weights of GSM do not tell {told}: these are the published values; for others, write the file '
                f'anew by basicsr weights convert.'
            )
        options = {key: value for key, value in {**found.options, **found.assumed, **settings}.items() if key != 'type'}
        return ClipModelDescriptor(GSMamba(**options), weights, self, options)


class ClipModelDescriptor(ImageModelDescriptor[GSMamba]):
    """A network of clips, which takes single images as clips of one frame, so that programs for images can run it.

    Args:
        model: The network.
        weights: What it loads.
        architecture: What made it.
        options: The arguments of the network's constructor.
    """

    def __init__(self, model: GSMamba, weights: StateDict, architecture: GSMArch, options: dict) -> None:
        super().__init__(
            model,
            weights,
            architecture,
            purpose='SR' if options['upscale'] > 1 else 'Restoration',
            tags=[f'{options["embed_dims"]}dim', f'{2 * options["pa_frame"] + 1}frames'],
            # the network keeps its own types under autocast; its weights stay float32
            supports_half=False,
            supports_bfloat16=False,
            scale=options['upscale'],
            input_channels=model.in_chans,
            output_channels=model.in_chans,
            call_fn=lambda model, image: model(image[None])[0],
        )
        self.options = options
        """The arguments of the network's constructor."""

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Enlarges a clip, or an image.

        Args:
            image: A clip (b, t, 3, h, w), or an image (1, 3, h, w); float32 in [0, 1], on the device of the network.

        Returns:
            The same with sides `scale` times as long, clamped to [0, 1].

        Raises:
            UserError: It is neither.
        """
        if image.ndim == _FRAME and len(image) == 1:
            return super().__call__(image)
        if image.ndim != _CLIP:
            raise UserError(f'An input has the shape {tuple(image.shape)}; give (b, t, 3, h, w) or (1, 3, h, w).')
        return self.model.eval()(image).clamp_(0, 1)
