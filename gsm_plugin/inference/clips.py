"""Clips as users hold them, float or bytes, tensors or arrays, turned into what networks take, and back."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.errors import UserError

Clip = Tensor | np.ndarray
# Filters overshoot [0, 1] a little; frames that were meant in 0 to 255, or in -1 to 1, are far outside.
_LEAST, _MOST = -0.5, 1.5
_COLOURS = 3


def as_network_takes_it(clip: Clip, device: torch.device) -> tuple[Tensor, Callable[[Tensor], Clip]]:
    """Turns a clip into float32 on the device.

    Args:
        clip: A tensor (t, c, h, w) or (b, t, c, h, w), or an array (t, h, w, c) or (b, t, h, w, c); floats in [0, 1] or
            uint8; RGB.
        device: Where the network is.

    Returns:
        The clip, (b, t, c, h, w), and what turns an output of the network into the kind of `clip`: its axes, its type,
        and where it was.

    Raises:
        UserError: It is no clip, is empty, sparse or of another kind without a number for each place, of whole numbers
            that are not bytes, or has values that no picture has.
    """
    is_array = isinstance(clip, np.ndarray)
    if not is_array and not isinstance(clip, Tensor):
        raise UserError(
            f'A clip is of type {type(clip).__name__}; give a tensor (t, 3, h, w) or an array (t, h, w, 3).'
        )
    _check_storage(clip, 'A clip')
    axes = '(t, h, w, 3) or (b, t, h, w, 3)' if is_array else '(t, 3, h, w) or (b, t, 3, h, w)'
    colours = -1 if is_array else -3
    if clip.ndim not in (4, 5) or clip.shape[colours] != _COLOURS:
        raise UserError(f'A clip has the shape {tuple(clip.shape)}; give {axes}, three colours each.')
    if 0 in clip.shape:
        raise UserError(f'A clip is empty, of shape {tuple(clip.shape)}; give at least one frame of one pixel.')
    tensor = _tensor_of(clip)
    is_bytes = tensor.dtype == torch.uint8
    if not is_bytes and not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix('torch.')
        raise UserError(f'A clip is of {kind}; give uint8, or floats in [0, 1].')
    home, dtype, is_batch = tensor.device, tensor.dtype, tensor.ndim == 5
    taken = tensor.to(device)
    taken = taken.float().div_(255) if is_bytes else taken.float()
    taken = taken if is_batch else taken[None]
    if not is_bytes:
        _check_values(taken)

    def back(output: Tensor) -> Clip:
        output = output if is_batch else output[0]
        output = (output.clamp(0, 1) * 255).round_() if is_bytes else output
        output = output.to(dtype).to(home)
        return output.movedim(-3, -1).contiguous().numpy() if is_array else output

    return taken, back


def _check_storage(values: Clip, what: str) -> None:
    """Refuses what does not hold a number for each place."""
    if isinstance(values, np.ma.MaskedArray):
        raise UserError(f'{what} is a masked array; fill what is masked, by .filled(0) for example.')
    if isinstance(values, np.ndarray):
        return
    # a nested tensor has no shape, and one on meta no values
    kind, cure = '', 'make it dense first, by .to_dense()'
    if values.is_nested:
        kind, cure = 'nested', 'give its parts one by one'
    elif values.layout != torch.strided:
        kind = f'of layout {str(values.layout).removeprefix("torch.").lstrip("_")}'
    elif values.is_meta:
        kind, cure = 'on the device meta, which holds no values', 'give one on the CPU or a GPU'
    elif values.is_quantized:
        kind, cure = 'quantized', 'turn it back into floats, by .dequantize()'
    if kind:
        raise UserError(f'{what} is {kind}; {cure}.')


def _tensor_of(clip: Clip) -> Tensor:
    if isinstance(clip, Tensor):
        return clip.detach()
    if clip.dtype.kind not in 'fiu':
        raise UserError(f'A clip is of {clip.dtype}; give uint8, or floats in [0, 1].')
    try:
        # a copy has the strides and the order of bytes that PyTorch wants
        array = np.ascontiguousarray(clip, clip.dtype.newbyteorder('='))
        # PyTorch warns of what must not be written
        return torch.from_numpy(array if array.flags.writeable else array.copy()).movedim(-1, -3)
    except TypeError as error:
        raise UserError(f'A clip is of {clip.dtype}; give uint8, or floats in [0, 1].') from error


def _check_values(clip: Tensor) -> None:
    """Refuses what no picture has; one look at the clip, for a GPU waits for the answer."""
    least, most = (value.item() for value in torch.aminmax(clip))
    if least >= _LEAST and most <= _MOST:
        return
    for frame in range(clip.shape[1]):
        if not torch.isfinite(clip[:, frame]).all():
            raise UserError(f'Frame {frame} of the clip has values that are not finite; leave it out, or repair it.')
    raise UserError(f'The values of a clip reach from {least:g} to {most:g}; give floats in [0, 1], or uint8.')


def join_frames(frames: Sequence[Clip]) -> Clip:
    """One clip of frames, tensors (c, h, w) or arrays (h, w, c).

    Raises:
        UserError: They are not of one kind and size.
    """
    first = frames[0]
    if not isinstance(first, Tensor | np.ndarray):
        raise UserError(f'A frame is of type {type(first).__name__}; give tensors (c, h, w) or arrays (h, w, c).')
    for frame in frames:
        if isinstance(frame, Tensor | np.ndarray):
            _check_storage(frame, 'A frame')
        if type(frame) is not type(first) or (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise UserError(f'Frames differ: {_kind_of(first)}, then {_kind_of(frame)}; give all of one size and type.')
    tensors = [frame for frame in frames if isinstance(frame, Tensor)]
    return torch.stack(tensors) if tensors else np.stack(frames)


def _kind_of(frame: object) -> str:
    if not isinstance(frame, Tensor | np.ndarray):
        return type(frame).__name__
    return f'{"x".join(map(str, frame.shape))} of {str(frame.dtype).removeprefix("torch.")}'
