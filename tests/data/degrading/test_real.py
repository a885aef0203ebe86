import numpy as np
import pytest

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.degrading.degraded_clips_dataset import DegradedClipsDataset
from gsm_plugin.data.degrading.low_resolution import low_resolution
from gsm_plugin.errors import UserError
from tests.data.degrading.test_degraded_clips_dataset import options, to_images
from tests.data.pictures import assert_same_levels, picture, same, sample

OFF = {f'{key}_prob': 0 for key in ('blur', 'resize', 'noise', 'jpeg')}
NOTHING = {'kind': 'real', 'first': OFF, 'second': OFF, 'final_filters': {'matlab': 1}, 'codec': {'prob': 0}}


def clip(frames=4, height=64, width=72):
    whole = picture(height, width + frames)
    return np.stack([whole[:, frame : frame + width] for frame in range(frames)])


def make(section, seed=0, scale=4):
    recipe = low_resolution({'scale': scale, 'degradation': section}, 'Dataset x').draw(np.random.default_rng(seed))
    return recipe(clip())


def test_with_every_step_off_lq_is_matlab_bicubic():
    expected = np.stack([resize_bicubic(frame, 1 / 4) for frame in clip()])
    assert_same_levels(make(NOTHING), expected)


def test_bicubic_prob_leaves_every_step_out():
    expected = np.stack([resize_bicubic(frame, 1 / 4) for frame in clip()])
    assert_same_levels(make({'kind': 'real', 'bicubic_prob': 1}), expected)


@pytest.mark.parametrize('stage', ['first', 'second'])
@pytest.mark.parametrize('step', ['blur', 'resize', 'noise', 'jpeg'])
def test_each_step_of_each_stage_changes_lq_alone(stage, step):
    section = {**NOTHING, stage: {**OFF, f'{step}_prob': 1}}
    lq = make(section)
    assert lq.shape == (4, 16, 18, 3)
    assert (lq != make(NOTHING)).any()


@pytest.mark.parametrize('changed', [{'final_filters': {'area': 1}}, {'final_sinc_prob': 1}, {'codec': {'prob': 1}}])
def test_each_step_after_the_stages_changes_lq(changed):
    assert (make({**NOTHING, **changed}) != make(NOTHING)).any()


@pytest.mark.parametrize('scale', [1, 2, 4])
def test_lq_of_everything_depends_on_the_seed_alone_and_stays_like_gt(scale):
    for seed in range(6):
        lq = make({'kind': 'real'}, seed, scale)
        assert lq.shape == (4, 64 // scale, 72 // scale, 3)
        np.testing.assert_array_equal(lq, make({'kind': 'real'}, seed, scale))
        assert abs(lq.mean() - clip().mean()) < 12
    assert (make({'kind': 'real'}, 1, scale) != make({'kind': 'real'}, 2, scale)).any()


def test_a_stream_gives_the_frames_of_the_clip():
    degradation = low_resolution({'scale': 4, 'degradation': {'kind': 'real'}}, 'x')
    for seed in range(4):
        streamed = list(degradation.draw(np.random.default_rng(seed)).stream(iter(clip()), 4))
        np.testing.assert_array_equal(np.stack(streamed), make({'kind': 'real'}, seed))


def test_lq_lies_where_gt_lies():
    section = {**NOTHING, 'codec': {'prob': 1, 'codecs': {'h264': 1}, 'crf_h264': [10, 10], 'bitrate_prob': 0}}
    # Of light alone, since the codec halves the resolution of colours.
    lq, bicubic = (make(one).mean(-1) for one in (section, NOTHING))
    here = np.abs(lq - bicubic).mean()
    for shifted in (bicubic[:, :, 1:], bicubic[:, 1:]):
        part = lq[:, : shifted.shape[1], : shifted.shape[2]]
        assert here < 0.5 * np.abs(part - shifted).mean()


def test_frames_before_a_clip_are_encoded_with_it(tmp_path):
    codec = {'prob': 1, 'codecs': {'mpeg4': 1}, 'crf_mpeg4': [12, 12], 'bitrate_prob': 0, 'gop': [100, 100]}
    made = [
        DegradedClipsDataset(options(tmp_path, degradation={**NOTHING, 'codec': {**codec, 'lead_in': [lead, lead]}}))
        for lead in (0, 4)
    ]
    alone, led = (sample(dataset, index=5) for dataset in made)
    assert (alone['gt'] == led['gt']).all()
    assert alone['lq'].shape == led['lq'].shape
    assert (alone['lq'] != led['lq']).any()


def test_crops_with_a_margin_lie_where_gt_lies(tmp_path):
    dataset = DegradedClipsDataset(options(tmp_path, degradation={**NOTHING, 'codec': {'prob': 0, 'margin': 3}}))
    for place in range(5):
        item = sample(dataset, 3, place)
        expected = np.stack([resize_bicubic(frame, 1 / 4) for frame in to_images(item['gt'])])
        assert_same_levels(to_images(item['lq'])[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2])


def test_real_items_depend_on_the_seeds_of_the_sample_alone(tmp_path):
    dataset = DegradedClipsDataset(options(tmp_path, degradation={'kind': 'real'}, random_reverse=True))
    first = sample(dataset, 5, place=7)
    sample(dataset, 0, place=8)
    assert same(sample(dataset, 5, place=7), first)


@pytest.mark.parametrize(
    'changed, words',
    [
        ({'first': {'blur_prob': 2}}, 'degradation:first:blur_prob is 2; it must be a number from 0 to 1'),
        (
            {'first': {'blur_kernels': {'round': 1}}},
            'degradation:first:blur_kernels is .*; it must be weights from 0 up of',
        ),
        ({'second': {'jpeg_quality': [0, 90]}}, r'degradation:second:jpeg_quality is \[0, 90\]; it must be a range'),
        ({'codec': {'codecs': {}}}, 'degradation:codec:codecs is {}; it must be weights'),
        ({'codec': {'crf_h264': [20, 60]}}, r'degradation:codec:crf_h264 is \[20, 60\]; .* between 0 and 51'),
        ({'codec': 'h264'}, "degradation:codec is 'h264'; it must be a section"),
        ({'kind': 'bi'}, 'degradation:first is for kind: real, but kind is bi'),
    ],
)
def test_wrong_options_end_in_one_sentence(changed, words):
    with pytest.raises(UserError, match=words):
        low_resolution({'scale': 4, 'degradation': {**NOTHING, **changed}}, 'Dataset x')
