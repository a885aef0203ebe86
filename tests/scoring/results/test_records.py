import math
from dataclasses import replace

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.scoring.results.records import ClipResult, Record, as_read, merge_records, read_record, write_record

A, B = {'device': 'card A'}, {'device': 'card B'}


def clip(psnr=(30.0, 32.0), data='print', **changes):
    result = ClipResult(('0', '1'), {'psnr': psnr, 'ssim': (0.9, 0.8)}, 2, 4.0, 1.0, data)
    return replace(result, **changes)


def record(clips, machine=A, network='net', settings=None):
    return Record(
        network, as_read(settings or {'val': {'tile': [1, 2]}}), {'name': 'x'}, 10, 5.0, (4, 4), (machine,), clips
    )


def test_a_record_comes_back_as_it_was_written(tmp_path):
    lpips = {'psnr': (31.0, 30.0), 'ssim': (0.9, 0.8), 'lpips': (math.inf, -math.inf)}
    written = record({'a': clip(), 'b': clip(values=lpips, peak_gib=None)})
    write_record(written, tmp_path / 'net.json')
    assert read_record(tmp_path / 'net.json') == written
    assert [path.name for path in tmp_path.iterdir()] == ['net.json']


def test_means_are_over_frames_and_then_over_clips():
    scored = record({'a': clip(psnr=(30.0, 32.0)), 'b': clip(psnr=(40.0,), frames=('0',))})
    assert scored.mean('psnr') == 35.5


def test_equal_images_of_earlier_records_count_as_a_hundred_decibels(tmp_path):
    write_record(record({'a': clip(psnr=(math.inf, 30.0)), 'b': clip(psnr=(35.0, 35.0))}), tmp_path / 'net.json')
    read = read_record(tmp_path / 'net.json')
    assert read.mean('psnr') == 50
    assert read.notes() == ['net, clip a: frame 0 is like the ground truth, PSNR counts as 100 dB there.']


def test_means_leave_out_what_is_no_number_and_say_so():
    bad = clip(values={'psnr': (30.0, 32.0), 'ssim': (math.nan, 0.8)})
    none = clip(values={'psnr': (30.0, 32.0), 'ssim': (math.nan, math.inf)})
    scored = record({'a': bad, 'b': clip(values={'psnr': (30.0, 32.0), 'ssim': (0.4, 0.4)}), 'c': none})
    assert scored.mean('ssim') == pytest.approx(0.6)
    assert scored.notes() == [
        'net, clip a: no number for ssim of frame 0, which its mean leaves out.',
        'net, clip c: no number for ssim of frames 0, 1, which its mean leaves out.',
    ]


def test_records_of_two_machines_are_joined():
    first, second = record({'a': clip()}), record({'b': clip(seconds=1.0), 'c': clip(seconds=1.0)}, B)
    (joined,) = merge_records([first, second])
    assert list(joined.clips) == ['a', 'b', 'c']
    assert [joined.machines[result.machine] for result in joined.clips.values()] == [A, B, B]
    fps, peak, machine = joined.speed()
    assert (fps, peak, machine) == (2.0, 1.0, B)


def test_a_clip_of_both_has_to_be_the_same():
    assert merge_records([record({'a': clip()}), record({'a': clip(psnr=(30.0001, 32.0))}, B)])[0].clips == {
        'a': clip()
    }
    with pytest.raises(UserError, match='have different psnr for clip a; run it again'):
        merge_records([record({'a': clip()}), record({'a': clip(psnr=(30.1, 32.0))})])
    with pytest.raises(UserError, match='have clip a of other files'):
        merge_records([record({'a': clip()}), record({'a': clip(data='other')})])


def test_records_with_and_without_further_metrics_are_joined():
    values = {'psnr': (30.0, 32.0), 'ssim': (0.9, 0.8), 'tof': (0.25,)}
    with_tof = record({'a': clip(values=values), 'b': clip()}, B)
    for order in ([record({'a': clip()}), with_tof], [with_tof, record({'a': clip()})]):
        (joined,) = merge_records(order)
        assert joined.clips['a'].values == values
        assert joined.clips['b'].values == clip().values
        # Of the clips that have it.
        assert joined.mean('tof') == 0.25
    other = record({'a': clip(values={**values, 'tof': (0.5,)})})
    with pytest.raises(UserError, match='have different tof for clip a; run it again'):
        merge_records([with_tof, other])


def test_records_of_other_settings_are_not_joined():
    with pytest.raises(UserError, match=r"Two records of net differ in val \({'tile': \[1, 2\]} and {}\); give one"):
        merge_records([record({}), record({}, settings={'val': {}})])
    assert len(merge_records([record({}), record({}, network='other', settings={'val': {}})])) == 2


@pytest.mark.parametrize('content', ['', '[]', '{"format": 1}', '{"format": 9, "clips": {}}'])
def test_what_is_no_record_is_named(tmp_path, content):
    (tmp_path / 'net.json').write_text(content)
    with pytest.raises(UserError, match=r'net\.json is no result record'):
        read_record(tmp_path / 'net.json')


def test_records_from_before_there_was_a_choice_of_precision_are_of_float32():
    earlier = record({'a': clip()}, settings={'val': {}})
    assert earlier.precision == 'fp32'
    assert earlier.fits(record({}, settings={'val': {}, 'precision': 'fp32'}))
    half = record({'b': clip()}, settings={'val': {}, 'precision': 'bf16'})
    assert not earlier.fits(half)
    with pytest.raises(UserError, match=r'differ in precision \(fp32 and bf16\)'):
        merge_records([earlier, half])
