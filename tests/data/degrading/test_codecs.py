import sys

import numpy as np
import pytest

from gsm_plugin.data.degrading.codecs import CODECS, Encoding, recode
from gsm_plugin.data.degrading.low_resolution import low_resolution
from gsm_plugin.errors import UserError
from tests.data.pictures import picture

WORST = {'h264': 45, 'h265': 45, 'mpeg4': 31, 'vp9': 60}


def clip(frames=6, height=45, width=62):
    whole = picture(height, width + 2 * frames)
    return [whole[:, 2 * frame : 2 * frame + width] for frame in range(frames)]


def error(recoded, frames, shift=0):
    pairs = list(zip(recoded, frames[shift:], strict=False))
    return np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs])


@pytest.mark.parametrize('codec', CODECS)
def test_a_clip_comes_back_whole_in_order_and_the_same_each_time(codec):
    frames = clip()
    recoded = list(recode(frames, Encoding(codec, 4, 0.0, 12)))
    assert [frame.shape for frame in recoded] == [frame.shape for frame in frames]
    assert error(recoded, frames) < 0.7 * error(recoded, frames, shift=1)
    for first, second in zip(recoded, recode(frames, Encoding(codec, 4, 0.0, 12)), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize('codec', CODECS)
def test_a_larger_crf_is_worse(codec):
    frames = clip()
    good, bad = (error(list(recode(frames, Encoding(codec, crf, 0.0, 12))), frames) for crf in (4, WORST[codec]))
    assert bad > 1.3 * good


@pytest.mark.parametrize('codec', CODECS)
def test_a_lower_bitrate_is_worse(codec):
    frames = clip(12)
    good, bad = (error(list(recode(frames, Encoding(codec, None, bits, 12))), frames) for bits in (8.0, 0.02))
    assert bad > good


def test_key_frames_come_as_often_as_gop_says():
    frames = [picture(48, 64)] * 8
    every = np.stack(list(recode(frames, Encoding('mpeg4', 20, 0.0, 1))))
    first = np.stack(list(recode(frames, Encoding('mpeg4', 20, 0.0, 100))))
    assert (every[1:] == every[:-1]).all()
    assert error(list(first[4:]), frames) <= error(list(every[4:]), frames)


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('size', [(8, 8), (17, 40), (33, 31)])
def test_small_and_odd_frames_come_back_in_their_size(codec, size):
    frames = clip(3, *size)
    recoded = list(recode(frames, Encoding(codec, 4, 0.0, 12)))
    assert [frame.shape for frame in recoded] == [(*size, 3)] * 3
    assert error(recoded, frames) < 25


def test_without_pyav_only_a_codec_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    options = {'scale': 4, 'degradation': {'kind': 'real', 'codec': {'prob': 0}}}
    low_resolution(options, 'x')
    options['degradation']['codec']['prob'] = 0.1
    with pytest.raises(UserError, match=r'PyAV is missing .*; pip install av, or set degradation: codec: prob: 0'):
        low_resolution(options, 'x')
