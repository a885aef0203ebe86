"""Validations hold numbers, whatever a network or a metric gives, and say which frames are counted otherwise."""

import math

import cv2
import numpy as np
import pytest
import torch
from basicsr.utils.registry import METRIC_REGISTRY

from gsm_plugin.errors import UserError
from gsm_plugin.models.finite_scores import check_output, fill_gaps
from gsm_plugin.models.gsm_model import GSMModel
from tests.models.tiny import folders_set, loader_of, make_options, write_clip

NAN, INF = math.nan, math.inf


def calculate_brightness(img, img2, without=0, **_):
    """A metric that has no number for dark frames."""
    return img2.mean() if img2.mean() > without else NAN


if 'calculate_brightness' not in METRIC_REGISTRY:
    METRIC_REGISTRY.register(calculate_brightness)


@pytest.fixture
def clips(tmp_path):
    write_clip(tmp_path, 'one', 3)
    write_clip(tmp_path, 'two', 2, size=(6, 7))
    return tmp_path


def make_model(root, is_train=True, **changes):
    torch.manual_seed(0)
    return GSMModel(make_options(root, is_train, **changes))


def blacken(root, clip, frame):
    for kind in ('LQ', 'GT'):
        path = str(root / kind / clip / f'{frame:08d}.png')
        cv2.imwrite(path, np.zeros_like(cv2.imread(path)))


def without_bias(model):
    """Gives black for black."""
    for network in (model.net_g, model.net_g_ema):
        for layer in (network.spynet, network.body[0]):
            layer.bias.data.zero_()
    return model


def validate(model, root, iteration=1, name='set'):
    model.validation(loader_of(folders_set(root, name)), iteration, None)
    return model


def test_a_frame_that_is_reproduced_exactly_is_bounded_and_named(clips, log):
    blacken(clips, 'one', 0)
    model = validate(without_bias(make_model(clips)), clips)
    table = model.metric_results['one']
    assert table[0, 0] == 100
    assert torch.isfinite(model.best_metric_results['set']['psnr']['val'] * torch.ones(1))
    assert 'set, clip one: frame 00000000 is like the ground truth, so psnr counts as 100 dB there.' in log()
    assert 'ssim counts' not in log()


def test_the_best_network_is_not_the_newest_where_a_frame_is_exact(clips):
    blacken(clips, 'one', 0)
    model = without_bias(make_model(clips))
    validate(model, clips, 1)
    model.net_g_ema.body[0].weight.data.zero_()
    validate(model, clips, 2)
    assert model.metric_results['one'][0, 0] == 100
    assert model.best_metric_results['set']['psnr']['iter'] == 1


def ruin(model, value):
    for network in (model.net_g, getattr(model, 'net_g_ema', None)):
        if network is not None:
            network.body[0].bias.data[0] = value
    return model


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_a_test_with_an_output_of_no_numbers_ends_in_a_sentence_and_saves_nothing(clips, value):
    model = ruin(make_model(clips, is_train=False), value)
    with pytest.raises(UserError, match=r'set, clip one: .* no numbers .* in 3 of 3 frames \(the first is number 0\)'):
        model.validation(loader_of(folders_set(clips, 'set')), 'test', None, save_img=True)
    assert not (clips / 'visualization').exists()


@pytest.mark.parametrize('value', [NAN, INF])
def test_a_training_warns_and_goes_on_and_such_a_network_is_not_the_best(clips, log, value):
    model = validate(make_model(clips), clips, 1)
    best = dict(model.best_metric_results['set']['psnr'])
    validate(ruin(model, value), clips, 2)
    assert all(torch.isfinite(table).all() for table in model.metric_results.values())
    assert model.best_metric_results['set']['psnr'] == best
    assert 'set, clip two: the output of the network holds values that are no numbers' in log()


@pytest.mark.parametrize('better', ['higher', 'lower'])
def test_a_first_network_with_outputs_of_no_numbers_is_not_the_best(clips, better):
    metrics = {'bright': {'type': 'calculate_brightness', 'better': better}}
    model = validate(ruin(make_model(clips, val={'metrics': metrics}), NAN), clips, 1)
    assert model.best_metric_results['set']['bright']['iter'] == -1
    validate(ruin(model, 0), clips, 2)
    assert model.best_metric_results['set']['bright']['iter'] == 2


@pytest.mark.parametrize('better', ['higher', 'lower'])
@pytest.mark.parametrize(
    'scores, best', [((2, 2, 2), 1), ((NAN, 2, 2), 2), ((INF, 2, 2), 2), ((-INF, 2, NAN), 2), ((NAN, INF, -INF), -1)]
)
def test_the_older_of_equal_scores_is_the_best_and_no_score_is_none(clips, better, scores, best):
    metrics = {'bright': {'type': 'calculate_brightness', 'better': better}}
    model = make_model(clips, val={'metrics': metrics})
    model._initialize_best_metric_results('set')
    for iteration, score in enumerate(scores, 1):
        model._update_best_metric_result('set', 'bright', score, iteration)
    assert model.best_metric_results['set']['bright']['iter'] == best


def test_a_metric_without_a_value_in_any_frame_makes_no_network_the_best(clips):
    metrics = {'bright': {'type': 'calculate_brightness', 'without': 300}}
    model = validate(make_model(clips, val={'metrics': metrics}), clips)
    assert model.best_metric_results['set']['bright']['iter'] == -1


def test_a_frame_without_a_value_is_left_out_of_the_average_and_named(clips, log):
    blacken(clips, 'one', 1)
    metrics = {'bright': {'type': 'calculate_brightness'}}
    model = validate(make_model(clips, val={'metrics': metrics}), clips)
    gt = [cv2.imread(str(clips / 'GT' / 'one' / f'{frame:08d}.png')).mean() for frame in (0, 2)]
    assert model.metric_results['one'].mean().item() == pytest.approx(np.mean(gt), rel=1e-5)
    assert 'set, clip one: no number for bright of frame 00000001, which its average leaves out.' in log()


def test_gaps_take_the_mean_of_their_clip_or_else_of_the_other_clips():
    tables = {
        'a': torch.tensor([[1.0, NAN], [3.0, NAN], [INF, NAN]]),
        'b': torch.tensor([[4.0, 7.0], [4.0, 9.0]]),
    }
    filled = fill_gaps(tables)
    torch.testing.assert_close(filled['a'], torch.tensor([[1.0, 8.0], [3.0, 8.0], [2.0, 8.0]]))
    assert filled['b'] is not tables['b']
    torch.testing.assert_close(filled['b'], tables['b'], atol=0, rtol=0)
    assert fill_gaps({}) == {}
    assert fill_gaps({'a': torch.tensor([[NAN, 1.0]])})['a'].isnan().tolist() == [[True, False]]


def test_an_output_of_numbers_is_handed_on_as_it_is():
    output = torch.randn(2, 3, 4, 4) * 1e6
    assert check_output(output, 'x') is output
