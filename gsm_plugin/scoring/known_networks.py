"""The networks that tables know by name: their published settings, weights and ways of being run. Data alone."""

from dataclasses import dataclass, field

TRAININGS = ('REDS BI', 'Vimeo-90K BI', 'Vimeo-90K BD')
"""What published weights were trained on."""


@dataclass(frozen=True)
class KnownNetwork:
    """A network, as it was published.

    Attributes:
        title: Its name in tables, and in those of published figures.
        options: Section `network_g` of an option file.
        by_training: What differs in it, by training.
        by_protocol: What differs in it, by leaderboard.
        weights: Name of the public weights, by training.
        shipped: Name of the weights that this package brings along, for networks that have no public ones.
        val: Keys of the section `val`.
        val_by_training: What differs in them, by training.
        val_by_protocol: What differs in them, by leaderboard.
        lengths: Lengths of clips that multiply-adds are counted with; see `count_per_pixel`.
    """

    title: str
    options: dict
    by_training: dict[str, dict] = field(default_factory=dict)
    by_protocol: dict[str, dict] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    shipped: str | None = None
    val: dict = field(default_factory=dict)
    val_by_training: dict[str, dict] = field(default_factory=dict)
    val_by_protocol: dict[str, dict] = field(default_factory=dict)
    lengths: tuple[int, ...] = (2, 3)


def _weights(stem: str) -> dict[str, str]:
    return dict(zip(TRAININGS, (f'{stem}-reds', f'{stem}-vimeo90k-bi', f'{stem}-vimeo90k-bd'), strict=True))


def _on_vimeo(values: dict) -> dict[str, dict]:
    return dict.fromkeys(TRAININGS[1:], values)


_FLOW_NEEDS = {'smallest_side': 64}

_GSM_SMALL = {
    'type': 'GSMamba',
    'upscale': 4,
    'prop_depth': 4,
    'attn_depth': 2,
    'pa_frame': 2,
    'embed_dims': 64,
    'num_heads': 4,
}

KNOWN_NETWORKS = {
    'bicubic': KnownNetwork('Bicubic', {'type': 'Bicubic', 'upscale': 4}),
    'edvr': KnownNetwork(
        'EDVR',
        {
            'type': 'EDVR',
            'num_feat': 128,
            'num_frame': 5,
            'deformable_groups': 8,
            'num_extract_block': 5,
            'num_reconstruct_block': 40,
        },
        by_training=_on_vimeo({'num_frame': 7}),
        weights={'REDS BI': 'edvr-l-reds', 'Vimeo-90K BI': 'edvr-l-vimeo90k-bi'},
        val={'multiple_of': 4, 'window': 5},
        val_by_training=_on_vimeo({'window': 7}),
        val_by_protocol={'vimeo90k-t': {'flip_seq': False}},
        lengths=(),
    ),
    'basicvsr': KnownNetwork(
        'BasicVSR', {'type': 'BasicVSR', 'num_feat': 64, 'num_block': 30}, weights=_weights('basicvsr'), val=_FLOW_NEEDS
    ),
    'iconvsr': KnownNetwork(
        'IconVSR',
        {'type': 'IconVSR', 'num_feat': 64, 'num_block': 30, 'keyframe_stride': 5, 'temporal_padding': 2},
        by_training=_on_vimeo({'temporal_padding': 3}),
        weights=_weights('iconvsr'),
        val=_FLOW_NEEDS,
        # Every fifth frame is a key frame, and the last one.
        lengths=(11, 16),
    ),
    'basicvsrpp': KnownNetwork(
        'BasicVSR++',
        {'type': 'BasicVSRPlusPlus', 'mid_channels': 64, 'num_blocks': 7},
        weights=_weights('basicvsrpp'),
        val=_FLOW_NEEDS,
        lengths=(3, 4),
    ),
    'vrt': KnownNetwork(
        'VRT',
        {
            'type': 'VRT',
            'upscale': 4,
            'img_size': [16, 64, 64],
            'window_size': [8, 8, 8],
            'depths': [8] * 7 + [4] * 6,
            'indep_reconsts': [11, 12],
            'embed_dims': [120] * 7 + [180] * 6,
            'num_heads': [6] * 13,
            'pa_frames': 6,
            'deformable_groups': 24,
        },
        by_training=_on_vimeo({'img_size': [8, 64, 64], 'pa_frames': 4, 'deformable_groups': 16}),
        # Its testers show it the seven frames of Vimeo-90K once, the last of them repeated.
        by_protocol={'vimeo90k-t': {'pad_frames': True}},
        weights=_weights('vrt'),
        val_by_protocol={
            'reds4': {'tile': [40, 128, 128], 'tile_overlap': [2, 20, 20]},
            'vid4': {'tile': [32, 128, 128], 'tile_overlap': [2, 20, 20]},
            'udm10': {'tile': [32, 128, 128], 'tile_overlap': [2, 20, 20]},
            'vimeo90k-t': {'flip_seq': False},
        },
        lengths=(8,),
    ),
    'gsm': KnownNetwork(
        'GSM',
        {
            'type': 'GSMamba',
            'upscale': 4,
            'prop_depth': 4,
            'attn_depth': 4,
            'pa_frame': 2,
            'embed_dims': 192,
            'num_heads': 8,
        },
        weights={'REDS BI': 'gsm-reds'},
        val_by_protocol={'reds4': {'tile': [100, 144, 144], 'tile_overlap': [2, 50, 50]}},
    ),
    'gsm-small': KnownNetwork('GSM (small)', _GSM_SMALL, shipped='gsm-small-x4'),
    'gsm-small-video': KnownNetwork('GSM (small, for films)', _GSM_SMALL, shipped='gsm-small-x4-video'),
}
