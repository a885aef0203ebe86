"""Which network a file of weights is of, and its sizes, from names and shapes alone."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from gsm_plugin.errors import UserError
from gsm_plugin.weights.doors import PYTHON, Door
from gsm_plugin.weights.mmagic_names import translate
from gsm_plugin.weights.network_fit import window_of
from gsm_plugin.weights.parameter_names import match_names
from gsm_plugin.weights.settings_buffer import ASSUMED

Weights = Mapping[str, Tensor]
_TAPS = 9
_U_SHAPED = 7


@dataclass(frozen=True)
class Recognised:
    """A network, as weights tell it.

    Attributes:
        options: Section `network_g` of an option file: type and arguments that differ from shape to shape.
        assumed: Arguments that no shape tells, with the published values; parts of `network_g` as well.
    """

    options: dict
    assumed: dict = field(default_factory=dict)


def recognise(weights: Weights, door: Door = PYTHON) -> Recognised:
    """Tells network and sizes of weights.

    Args:
        weights: By name, as in a file of BasicSR, mmagic or this package, whatever wrappers put before or into names.
        door: How another network would be named, for messages.

    Raises:
        UserError: They are of none of the networks that are known by their names, or incomplete.
    """
    names = match_names(weights, ()).names
    plain = {names[name]: weights[name] for name in names}
    translated = {translate(name): value for name, value in plain.items()}
    for own, kinds in ((plain, _KINDS), (translated, _BASICSR_KINDS)):
        for mark, kind in kinds.items():
            prefix = _prefix_of(mark, own)
            if prefix is not None:
                return _look(kind, _behind(prefix, own), mark)
    raise UserError(_refusal(translated, door))


def _prefix_of(mark: str, names: Iterable[str]) -> str | None:
    """What stands before the name of a parameter; the shortest, where there are several."""
    found = [name[: -len(mark)] for name in names if name == mark or name.endswith(f'.{mark}')]
    return min(found, key=len, default=None)


def _behind(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _look(kind: Callable[[Weights], Recognised], weights: Weights, mark: str) -> Recognised:
    try:
        return kind(weights)
    except UserError:
        raise
    except (KeyError, IndexError, ValueError, StopIteration, ZeroDivisionError) as error:
        raise UserError(
            f'The weights have {mark}, but not all that tells their sizes ({error}); get the file again.'
        ) from error


def _refusal(weights: Weights, door: Door) -> str:
    if any(name.startswith('basic_module.') for name in weights):
        return 'These are the weights of a flow network alone; give those of a network for videos.'
    first = ', '.join(list(weights)[:3])
    return (
        f'No network is known by these weights ({first}, ...); GSM, VRT, BasicVSR, BasicVSR++, IconVSR and EDVR are, '
        f'any other one is named by {door.arguments}, with its type.'
    )


def _gsm(weights: Weights) -> Recognised:
    block = 'prop_layers.0.stage.attn_blocks.blocks'
    options = {
        'type': 'GSMamba',
        'upscale': _upscale(weights),
        'prop_depth': _count(weights, 'prop_layers'),
        'attn_depth': _count(weights, block),
        'embed_dims': len(weights['conv_first.weight']),
    }
    assumed = dict(ASSUMED)
    table, index = (f'{block}.0.attn.relative_position_{what}' for what in ('bias_table', 'index'))
    if table in weights:
        options['num_heads'] = weights[table].shape[1]
        window = window_of(weights[table], weights[index]) if index in weights else None
        (options if window else assumed)['window_size'] = list(window or (2, 8, 8))
    else:
        assumed['num_heads'] = 8
    return Recognised(options, assumed)


def _vrt(weights: Weights) -> Recognised:
    stages = _U_SHAPED + _count(weights, 'stage8') - 1
    groups = [_groups_of_stage(stage) for stage in range(stages)]
    depths = [sum(_count(weights, f'{group}.blocks') for group in own) for own in groups]
    mutual = [_count(weights, f'{own[0]}.blocks') for own in groups[:_U_SHAPED]]
    windows = [_window_of_group(weights, own[-1]) for own in groups]
    dims = [len(weights[f'{own[-1].rpartition(".")[0]}.{_linear_of(own)}.weight']) for own in groups]
    neighbours = _neighbours(weights, dims[0])
    # windows of the U-shaped part are never cut to one frame
    whole = next((window for window in windows[:_U_SHAPED] if window), next(filter(None, windows), None))
    options = {
        'type': 'VRT',
        'upscale': _upscale(weights) if 'conv_before_upsample.0.weight' in weights else 1,
        'depths': depths,
        'indep_reconsts': [i for i in range(_U_SHAPED, stages) if (window := windows[i]) and window[0] == 1],
        'embed_dims': dims,
        'num_heads': [_heads(weights, own) or 6 for own in groups],
        'mul_attn_ratio': _ratio(depths, mutual),
        'pa_frames': 2 * neighbours,
        'deformable_groups': len(weights['stage1.pa_deform.conv_offset.6.weight']) // (3 * _TAPS),
        'nonblind_denoising': weights['conv_first.weight'].shape[1] == 28,
    }
    block = next(name for name in weights if name.endswith('.mlp.fc11.weight'))
    options['mlp_ratio'] = weights[block].shape[0] / weights[block].shape[1]
    options['qkv_bias'] = any(name.endswith('.qkv_self.bias') for name in weights)
    assumed: dict[str, object] = {}
    (options if whole else assumed)['window_size'] = list(whole or (6, 8, 8))
    return Recognised(options, assumed)


def _groups_of_stage(stage: int) -> list[str]:
    """The groups of attention blocks of a stage of VRT, counted from 0."""
    if stage < _U_SHAPED:
        return [f'stage{stage + 1}.residual_group{i}' for i in (1, 2)]
    return [f'stage8.{stage - _U_SHAPED + 1}.residual_group']


def _linear_of(groups: list[str]) -> str:
    return 'linear2' if len(groups) > 1 else 'linear'


def _window_of_group(weights: Weights, group: str) -> tuple[int, int, int] | None:
    table, index = (f'{group}.blocks.0.attn.relative_position_{what}' for what in ('bias_table', 'index'))
    return window_of(weights[table], weights[index]) if table in weights and index in weights else None


def _heads(weights: Weights, groups: list[str]) -> int | None:
    tables = (f'{group}.blocks.0.attn.relative_position_bias_table' for group in groups)
    return next((weights[table].shape[1] for table in tables if table in weights), None)


def _neighbours(weights: Weights, dim: int) -> int:
    """How many frames on each side VRT warps: the convolution sees as many, the frame itself and their flows."""
    return (weights['stage1.pa_deform.conv_offset.0.weight'].shape[1] - dim) // (dim + 2)


def _ratio(depths: list[int], mutual: list[int]) -> float:
    """A ratio that makes the numbers of blocks with mutual attention of those of all blocks, each rounded down."""
    candidates = [0.75, *(part / depth for part, depth in zip(mutual, depths, strict=False) if depth)]
    for ratio in candidates:
        if [int(depth * ratio) for depth in depths[:_U_SHAPED]] == mutual:
            return ratio
    raise UserError(f'VRT has {mutual} blocks with mutual attention of {depths[:_U_SHAPED]}, which no ratio gives.')


def _basicvsr(weights: Weights) -> Recognised:
    options = {'type': 'BasicVSR', **_trunk(weights)}
    return Recognised(options)


def _iconvsr(weights: Weights) -> Recognised:
    sizes = _trunk(weights)
    frames = weights['edvr.fusion.feat_fusion.weight'].shape[1] // sizes['num_feat']
    options = {'type': 'IconVSR', **sizes, 'temporal_padding': frames // 2}
    return Recognised(options, {'keyframe_stride': 5})


def _trunk(weights: Weights) -> dict:
    first = weights['backward_trunk.main.0.weight']
    return {'num_feat': len(first), 'num_block': _count(weights, 'backward_trunk.main.2')}


def _basicvsrpp(weights: Weights) -> Recognised:
    trunk = 'backbone.backward_1.main'
    options = {
        'type': 'BasicVSRPlusPlus',
        'mid_channels': len(weights[f'{trunk}.0.weight']),
        'num_blocks': _count(weights, f'{trunk}.2'),
        'is_low_res_input': 'feat_extract.main.0.weight' in weights,
    }
    return Recognised(options, {'max_residue_magnitude': 10})


def _edvr(weights: Weights) -> Recognised:
    dim = len(weights['conv_l2_1.weight'])
    with_tsa = 'fusion.feat_fusion.weight' in weights
    fusion = weights['fusion.feat_fusion.weight' if with_tsa else 'fusion.weight']
    options = {
        'type': 'EDVR',
        'num_feat': dim,
        'num_frame': fusion.shape[1] // dim,
        'deformable_groups': len(weights['pcd_align.dcn_pack.l1.conv_offset.weight']) // (3 * _TAPS),
        'num_extract_block': _count(weights, 'feature_extraction'),
        'num_reconstruct_block': _count(weights, 'reconstruction'),
        'with_predeblur': 'predeblur.conv_first.weight' in weights,
        'hr_in': 'predeblur.stride_conv_hr1.weight' in weights,
        'with_tsa': with_tsa,
    }
    return Recognised(options)


# By a parameter that a network has and those further down have not.
_KINDS: dict[str, Callable[[Weights], Recognised]] = {
    'prop_layers.0.stage.mamba_block.mamba.A_log': _gsm,
    'stage1.pa_deform.conv_offset.0.weight': _vrt,
}
_BASICSR_KINDS: dict[str, Callable[[Weights], Recognised]] = {
    'backbone.backward_1.main.0.weight': _basicvsrpp,
    'edvr.fusion.feat_fusion.weight': _iconvsr,
    'backward_trunk.main.0.weight': _basicvsr,
    'pcd_align.dcn_pack.l1.conv_offset.weight': _edvr,
}


def _count(weights: Weights, prefix: str) -> int:
    """How many modules a list has."""
    start = len(prefix) + 1
    return len({name[start:].split('.')[0] for name in weights if name.startswith(f'{prefix}.')})


def _upscale(weights: Weights) -> int:
    """The factor of the layers `upsample`, of which every fifth is a convolution, the last one not enlarging."""
    steps = sorted(int(name.split('.')[1]) for name in weights if name.startswith('upsample.') and 'weight' in name)
    factor = 1
    for step in steps[:-1]:
        weight = weights[f'upsample.{step}.weight']
        factor *= round((weight.shape[0] / weight.shape[1]) ** 0.5)
    return factor
