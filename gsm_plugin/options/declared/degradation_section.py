"""The section `degradation` of sets that make their LQ themselves; defaults are those of RealBasicVSR for training."""

from typing import Annotated, Literal

from gsm_plugin.options.declared.kinds import FromZero, Share, Span, Weights, about, drawn_from, within
from gsm_plugin.options.declared.sections import Section, field

KERNELS = ('iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso', 'sinc')
FILTERS = ('bilinear', 'area', 'bicubic')
CODECS = ('h264', 'h265', 'mpeg4', 'vp9')
_LAST_FILTERS = ('matlab', *FILTERS)
_KERNEL_WEIGHTS = dict(zip(KERNELS, (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1), strict=True))

_Blur = Annotated[Share, about('probability of blur')]
_Sigma = Annotated[Span, within(0.05, 20), about('range of the standard deviations of the kernel, pixels')]
_Resize = Annotated[Share, about('probability of a resize')]
_Factor = Annotated[Span, within(0.05, 4), about('range of the factor of the resize')]
_Gaussian = Annotated[Span, within(0, 255), about('range of the standard deviation of Gaussian noise, levels of 255')]
_Poisson = Annotated[
    Span, within(0, 255), about('range of the strength of Poisson noise, at which 1 gives white 16 levels of deviation')
]


class First(Section, frozen=True):
    """The first pass of blur, resize, noise and JPEG; sizes are relative to GT."""

    blur_prob: _Blur = 1.0
    blur_kernels: Annotated[Weights, drawn_from(KERNELS), about('how often each kernel is drawn')] = field(
        'blur_kernels', _KERNEL_WEIGHTS
    )
    blur_size: Annotated[Span, within(3, 51), about('range of the side of the kernel, pixels')] = (7, 21)
    blur_sigma: _Sigma = (0.2, 3)
    resize_prob: _Resize = 0.9
    resize: _Factor = (0.15, 1.5)
    resize_filters: Annotated[Weights, drawn_from(FILTERS), about('how often each filter is drawn')] = field(
        'resize_filters', dict.fromkeys(FILTERS, 1.0)
    )
    noise_prob: Annotated[Share, about('probability of noise')] = 1.0
    noise_gaussian: _Gaussian = (1, 30)
    noise_poisson: _Poisson = (0.05, 3)
    noise_poisson_prob: Annotated[Share, about('probability that noise is Poisson and not Gaussian')] = 0.5
    noise_gray_prob: Annotated[Share, about('probability that noise is the same in all channels')] = 0.4
    jpeg_prob: Annotated[Share, about('probability of JPEG')] = 1.0
    jpeg_quality: Annotated[Span, within(1, 100), about('range of the quality of JPEG')] = (30, 95)


class Second(First, frozen=True):
    """The second pass; sizes are relative to LQ."""

    blur_prob: _Blur = 0.8
    blur_sigma: _Sigma = (0.2, 1.5)
    resize_prob: _Resize = 0.7
    resize: _Factor = (0.3, 1.2)
    noise_gaussian: _Gaussian = (1, 25)
    noise_poisson: _Poisson = (0.05, 2.5)


class Codec(Section, frozen=True):
    """The video codec over the whole clip."""

    prob: Annotated[Share, about('probability of a video codec')] = 0.8
    codecs: Annotated[Weights, drawn_from(CODECS), about('how often each codec is drawn')] = field(
        'codecs', dict.fromkeys(CODECS, 1.0)
    )
    crf_h264: Annotated[Span, within(0, 51), about('range of the constant quality (crf) of h264')] = (15, 35)
    crf_h265: Annotated[Span, within(0, 51), about('range of the constant quality (crf) of h265')] = (17, 37)
    crf_mpeg4: Annotated[Span, within(1, 31), about('range of the constant quality (quantiser) of mpeg4')] = (2, 15)
    crf_vp9: Annotated[Span, within(0, 63), about('range of the constant quality (crf) of vp9')] = (20, 50)
    bitrate_prob: Annotated[Share, about('probability that a bitrate is kept to and no constant quality')] = 0.2
    bitrate: Annotated[Span, within(0.001, 24), about('range of the bitrate, bits a pixel')] = (0.05, 0.5)
    gop: Annotated[Span, within(1, 10000), about('range of the frames from one key frame to the next')] = (12, 250)
    lead_in: Annotated[Span, within(0, 100), about('range of the frames that are encoded before a clip')] = (0, 6)
    margin: Annotated[FromZero, about('LQ pixels around a crop that are degraded and encoded with it')] = 12


class Real(Section, frozen=True):
    """What `kind: real` reads: LQ as real clips come about."""

    bicubic_prob: Annotated[Share, about('probability that LQ is MATLAB bicubic and nothing else')] = 0.0
    drift_prob: Annotated[Share, about('probability that a parameter drifts through a clip and is not constant')] = 0.5
    drift: Annotated[Share, about('how far a parameter drifts at most, as a part of its range')] = 0.2
    first: Annotated[First, about('the first pass of blur, resize, noise and JPEG')] = field('first', First())
    second: Annotated[Second, about('the second pass')] = field('second', Second())
    final_filters: Annotated[
        Weights,
        drawn_from(_LAST_FILTERS),
        about('how often each filter for the last resize, to the size of LQ, is drawn'),
    ] = field('final_filters', dict.fromkeys(_LAST_FILTERS, 1.0))
    final_sinc_prob: Annotated[Share, about('probability of a sinc filter after it')] = 0.0
    codec: Annotated[Codec, about('the video codec over the whole clip')] = field('codec', Codec())


class Degradation(Real, frozen=True, kw_only=True):
    """How LQ is made."""

    kind: Annotated[
        Literal['bi', 'bd', 'bd-duf', 'real'],
        about('how LQ is made: bi (MATLAB bicubic), bd, bd-duf, or real, which the other keys are for'),
    ]
