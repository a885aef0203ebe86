"""What the constructor of VRT refuses."""

from collections.abc import Sequence

from gsm_plugin.layers.upsample import SCALES
from gsm_plugin.ops.dispatch import require_known_backend

_U_SHAPED = 7


def check_names_and_numbers(
    upscale: int,
    in_chans: int,
    out_chans: int,
    window_size: Sequence[int],
    mul_attn_ratio: float,
    mlp_ratio: float,
    drop_path_rate: float,
    pa_frames: int,
    warp_backend: str,
    attention_backend: str,
) -> None:
    """Checks what does not depend on the stage; arguments as of `VRT`.

    Raises:
        ValueError: A value cannot be used.
    """
    if upscale not in SCALES:
        raise ValueError(f'upscale is {upscale!r}; set one of {", ".join(map(str, SCALES))}.')
    if in_chans != 3 or out_chans != in_chans:
        raise ValueError(
            f'in_chans is {in_chans} and out_chans {out_chans}; set both to 3, for SPyNet estimates the flow between '
            f'RGB frames and the output is added to the enlarged input.'
        )
    if not _whole_numbers(window_size, 1) or len(window_size) != 3:
        raise ValueError(
            f'window_size is {window_size!r}; set three whole numbers from 1 up: frames, height and width.'
        )
    if pa_frames not in (2, 4, 6):
        raise ValueError(f'pa_frames is {pa_frames!r}; set 2, 4 or 6 warped neighbours.')
    if not 0 <= mul_attn_ratio <= 1:
        raise ValueError(f'mul_attn_ratio is {mul_attn_ratio}; set a number from 0 to 1.')
    if not mlp_ratio > 0:
        raise ValueError(f'mlp_ratio is {mlp_ratio}; set a number above 0.')
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f'drop_path_rate is {drop_path_rate}; set a number from 0 to below 1.')
    require_known_backend('flow_warp', warp_backend)
    require_known_backend('window_attention', attention_backend)


def check_stages(
    depths: Sequence[int],
    embed_dims: Sequence[int],
    num_heads: Sequence[int],
    indep_reconsts: Sequence[int],
    mul_attn_ratio: float,
) -> None:
    """Checks the lists with an entry per stage, and those of stages; arguments as of `VRT`.

    Raises:
        ValueError: They are too short, of different lengths, or hold a number that cannot be used.
    """
    for name, value, least in (('depths', depths, 0), ('embed_dims', embed_dims, 1), ('num_heads', num_heads, 1)):
        if not _whole_numbers(value, least):
            raise ValueError(f'{name} is {value!r}; set a list with a whole number from {least} up for every stage.')
    lengths = len(depths), len(embed_dims), len(num_heads)
    if len(set(lengths)) > 1 or lengths[0] <= _U_SHAPED:
        raise ValueError(
            f'depths, embed_dims and num_heads have {lengths[0]}, {lengths[1]} and {lengths[2]} entries; give each '
            f'one entry per stage, {_U_SHAPED + 1} or more.'
        )
    for stage, (dim, heads) in enumerate(zip(embed_dims, num_heads, strict=True)):
        if dim % heads:
            raise ValueError(f'embed_dims[{stage}] is {dim} with {heads} heads; set a multiple of num_heads[{stage}].')
    for stage, dim in enumerate(embed_dims[:_U_SHAPED]):
        if dim % 4 and (int(depths[stage] * mul_attn_ratio) or stage in (3, 4, 5)):
            raise ValueError(f'embed_dims[{stage}] is {dim}; set a multiple of 4.')
    for first, last in ((0, 6), (1, 5), (2, 4)):
        if embed_dims[first] != embed_dims[last]:
            raise ValueError(
                f'embed_dims[{first}] is {embed_dims[first]} and embed_dims[{last}] {embed_dims[last]}; set them '
                f'equal, for a skip connection adds one to the other.'
            )
    if min(indep_reconsts, default=_U_SHAPED) < _U_SHAPED:
        raise ValueError(
            f'indep_reconsts is {list(indep_reconsts)}; name stages from {_U_SHAPED} on, for the first '
            f'{_U_SHAPED} need neighbouring frames.'
        )


def _whole_numbers(value: object, least: int) -> bool:
    return isinstance(value, Sequence) and all(type(one) is int and one >= least for one in value)
