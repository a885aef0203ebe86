"""Shows a network one sample before a training begins, so that what cannot fit is known before anything is made."""

import torch
from basicsr.models.base_model import BaseModel
from basicsr.models.sr_model import SRModel
from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.models.validation import evaluating
from gsm_plugin.training.data_order import TrainingData

# What networks of BasicSR raise on clips of a wrong length, size or number of dimensions.
_MISFITS = (RuntimeError, ValueError, IndexError, AssertionError, TypeError)


def rehearse(model: BaseModel, data: TrainingData) -> None:
    """Compares the output for a training sample with its ground truth, of networks that are not this package's own.

    Those take clips of any size, and their enlargement is an option that is checked before. A network of the user that
    fails keeps its traceback.

    Args:
        model: The model, built.
        data: The training set.

    Raises:
        UserError: The network cannot take the sample, or makes something of another shape than its ground truth.
    """
    if not isinstance(model, SRModel) or not type(model).__module__.startswith(('basicsr.', 'gsm_plugin.')):
        return
    network = model.get_bare_model(model.net_g)
    home, name = type(network).__module__, type(network).__name__
    sample = {} if home.startswith('gsm_plugin.') else data.first_sample()
    if not all(isinstance(sample.get(key), Tensor) for key in ('lq', 'gt')):
        return
    lq, wanted = sample['lq'][None].to(model.device), sample['gt'][None].shape
    try:
        with evaluating(network):
            output = network(lq)
    except _MISFITS as error:
        if not home.startswith('basicsr.') or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = ' '.join(str(error).split()).rstrip('.')
        raise UserError(
            f'{name} cannot take samples of datasets:train, {_shape(lq.shape)} ({reason}); give it a data set, '
            f'num_frame and gt_size that fit it, or take another network.'
        ) from error
    if isinstance(output, Tensor) and output.shape != wanted:
        raise UserError(
            f'{name} makes {_shape(output.shape)} of samples of {_shape(lq.shape)}, whose ground truth is '
            f'{_shape(wanted)}; make scale the enlargement of the network, or take a model_type that fits both.'
        )


def _shape(sizes: torch.Size) -> str:
    return 'x'.join(map(str, sizes[1:]))
