import pytest

from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.errors import UserError


@pytest.mark.parametrize('name, channel', [('reds4', 'rgb'), ('vid4', 'y'), ('vimeo90k-t', 'y'), ('udm10', 'y')])
def test_metrics_are_those_of_option_files(name, channel):
    expected = {'crop_border': 0, 'test_y_channel': channel == 'y'}
    assert PROTOCOLS[name].metrics == {
        'psnr': {'type': 'calculate_psnr', **expected},
        'ssim': {'type': 'calculate_ssim', **expected},
    }


def test_a_leaderboard_is_complete_with_all_clips_and_frames():
    reds = dict.fromkeys(('000', '011', '015', '020'), 100)
    assert PROTOCOLS['reds4'].is_complete(reds)
    assert not PROTOCOLS['reds4'].is_complete({**reds, '020': 99})
    assert not PROTOCOLS['reds4'].is_complete(dict(list(reds.items())[:3]))
    vimeo = {f'00001/{number:04d}': 1 for number in range(7824)}
    assert PROTOCOLS['vimeo90k-t'].is_complete(vimeo)
    assert not PROTOCOLS['vimeo90k-t'].is_complete({**vimeo, 'one more': 1})


def test_a_degradation_that_is_not_there_is_refused():
    assert PROTOCOLS['vid4'].lq_of('bd') == 'Vid4/BDx4'
    with pytest.raises(UserError, match=r"REDS4 has no degradation 'bd'; take bi\."):
        PROTOCOLS['reds4'].lq_of('bd')


def test_a_protocol_is_one_sentence_for_people():
    assert 'the Y channel of 8-bit frames, no border cut, the centre frame of each clip' in (
        PROTOCOLS['vimeo90k-t'].describe()
    )
