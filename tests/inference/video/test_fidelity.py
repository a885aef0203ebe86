import math

import pytest
import torch

from gsm_plugin.inference.video.fidelity import BackProjection, compression_warning, in_words
from gsm_plugin.inference.video.samples import Samples, sample_numbers, write_page
from gsm_plugin.inference.video.windows import Segment, Window, plan_segments


def segment(scene, start=0, stop=4):
    return Segment(scene, scene, (Window(start, stop, start, stop),))


def test_what_adds_nothing_is_close_to_the_input_and_what_invents_is_not():
    torch.manual_seed(0)
    checked, seen = BackProjection(), torch.rand(4, 3, 16, 16)
    true = seen.repeat_interleave(2, -1).repeat_interleave(2, -2)
    smooth = torch.nn.functional.avg_pool2d(true, 5, 1, 2)
    for scene in range(3):
        checked.add(segment(scene), 0, smooth * 0 + 0.5, torch.full_like(true, 0.5))
    checked.add(segment(3), 0, seen, true.flip(-1))
    values = checked.by_scene()
    assert values[0] == math.inf
    assert values[3] < 10
    (warning,) = checked.warnings()
    assert warning.startswith('scene 3')


@pytest.mark.parametrize('decibel, warns', [(38, False), (30, True)])
def test_a_scene_among_black_ones_is_warned_of_only_where_it_is_far_from_the_input(decibel, warns):
    checked, black, error = BackProjection(), torch.zeros(2, 3, 8, 8), 10 ** (-decibel / 20)
    for scene in range(2):
        checked.add(segment(scene), 0, black, torch.zeros(2, 3, 16, 16))
    checked.add(segment(2), 0, black, torch.full((2, 3, 16, 16), error))
    assert bool(checked.warnings()) == warns


@pytest.mark.parametrize(
    'decibels, begins',
    [
        (
            [19.0, 19.1, 19.2],
            ['made small again, the output is only 19.1 dB from the input (median of 3 scenes); look'],
        ),
        ([19.0], ['made small again, the output is only 19.0 dB from the input; look']),
        ([19.0, 19.1, 9.0], ['made small again, the output is only 19.0 dB', 'scene 2: made small again']),
        ([24.0, 30.0, 30.0], ['scene 0: made small again']),
    ],
)
def test_where_all_scenes_are_far_from_the_input_none_is_named(decibels, begins):
    checked = BackProjection()
    for scene, decibel in enumerate(decibels):
        error = 10 ** (-decibel / 20)
        checked.add(segment(scene), 0, torch.zeros(2, 3, 8, 8), torch.full((2, 3, 16, 16), error))
    warnings = checked.warnings()
    assert len(warnings) == len(begins)
    assert all(warning.startswith(begin) for warning, begin in zip(warnings, begins, strict=True))


def test_an_error_of_a_known_size_has_its_decibel():
    checked, seen = BackProjection(), torch.full((2, 3, 8, 8), 0.5)
    checked.add(segment(0), 0, seen, torch.full((2, 3, 16, 16), 0.51))
    assert checked.by_scene()[0] == pytest.approx(40, abs=0.01)


@pytest.mark.parametrize(
    'codec, bits, training, warns',
    [
        ('h264', 0.1, 'REDS BI', True),
        ('h264', 0.1, 'REDS BI, compressed', False),
        ('h264', 3.0, 'REDS BI', False),
        ('ffv1', 0.1, 'REDS BI', False),
        ('h264', None, 'REDS BI', False),
        ('h264', 0.1, '', False),
    ],
)
def test_compressed_input_to_weights_of_clean_frames_is_warned_of(codec, bits, training, warns):
    warning = compression_warning(codec, bits, training)
    assert (warning is not None) == warns
    assert not warns or ('h264' in warning and 'REDS BI' in warning)


def test_the_page_holds_its_pictures_and_needs_nothing_else(tmp_path):
    segments = plan_segments([(0, 10), (10, 30)], 32, 8, 100)
    samples = Samples(sample_numbers(segments))
    assert samples.numbers == {4, 19}
    for part in segments:
        count = part.stop - part.start
        samples.add(part, part.start, torch.rand(count, 3, 8, 12), torch.rand(count, 3, 16, 24))
    kept = samples.kept()
    assert [sample.number for sample in kept] == [4, 19]
    write_page(tmp_path / 'page.html', 'A <film>', kept, ['one', 'two'])
    page = (tmp_path / 'page.html').read_text()
    assert page.count('data:image/jpeg;base64,') == 4
    assert page.count('type="range"') == 2
    assert 'A &lt;film&gt;' in page
    assert 'http' not in page


@pytest.mark.parametrize(
    'values, words',
    [
        ([math.inf, math.inf], 'the input'),
        ([46.61, 46.64], '46.6 dB from the input'),
        ([46.6, 50.0], '46.6 to 50.0 dB from the input, by scene'),
        ([46.6, math.inf], '46.6 to inf dB from the input, by scene'),
    ],
)
def test_figures_that_are_alike_are_told_once(values, words):
    assert in_words(values) == words
