import cv2
import numpy as np
import pytest
import torch
from torch import nn

from gsm_plugin.errors import UserError
from gsm_plugin.models.gsm_model import GSMModel
from tests.models.tiny import FlowlessNet, folders_set, loader_of, make_options, weights_of, write_clip

VIMEO_CLIPS = ('00001/0001', '00001/0002', '00002/0001')


class Scalars:
    """TensorBoard's logger, reduced to what it was told."""

    def __init__(self):
        self.values = {}

    def add_scalar(self, tag, value, step):
        assert tag not in self.values
        self.values[tag] = (value, step)


def make_model(root, is_train=True, seed=0, **changes):
    torch.manual_seed(seed)
    return GSMModel(make_options(root, is_train, **changes))


def spread_average(model):
    """Makes the averaged weights others than the raw ones."""
    with torch.no_grad():
        for parameter in model.net_g_ema.parameters():
            parameter.mul_(0.5)
    return model


def recurrent_set(root, name='REDS4'):
    from basicsr.data.video_test_dataset import VideoRecurrentTestDataset

    roots = {'dataroot_lq': str(root / 'LQ'), 'dataroot_gt': str(root / 'GT')}
    opt = {'name': name, 'cache_data': True, 'io_backend': {'type': 'disk'}, 'num_frame': -1, **roots}
    return VideoRecurrentTestDataset(opt)


def vimeo_set(root):
    from basicsr.data.video_test_dataset import VideoTestVimeo90KDataset

    for clip in VIMEO_CLIPS:
        write_clip(root, clip, 8, names='im{}')
    (root / 'list.txt').write_text(''.join(f'{clip} 7 (16,20,3)\n' for clip in VIMEO_CLIPS))
    roots = {'dataroot_lq': str(root / 'LQ'), 'dataroot_gt': str(root / 'GT'), 'meta_info_file': str(root / 'list.txt')}
    opt = {'name': 'Vimeo', 'cache_data': False, 'io_backend': {'type': 'disk'}, 'num_frame': 7, **roots}
    return VideoTestVimeo90KDataset(opt)


def basicsr_model(root, **changes):
    """BasicSR's own class with the same weights."""
    from basicsr.models.video_recurrent_model import VideoRecurrentModel

    torch.manual_seed(0)
    return VideoRecurrentModel(make_options(root, **changes))


@pytest.fixture
def clips(tmp_path):
    write_clip(tmp_path, 'one', 3)
    write_clip(tmp_path, 'clip two', 2, size=(6, 7), names='frame-{}')
    return tmp_path


def test_the_table_is_that_of_basicsr_on_its_recurrent_test_set(tmp_path):
    for clip, frames in (('000', 3), ('011', 2)):
        write_clip(tmp_path, clip, frames)
    ours, theirs = make_model(tmp_path), basicsr_model(tmp_path)
    for model in (ours, theirs):
        model.validation(loader_of(recurrent_set(tmp_path)), 5, None)
    assert list(ours.metric_results) == ['000', '011']
    torch.testing.assert_close(ours.metric_results, theirs.metric_results, atol=0, rtol=0)
    assert ours.best_metric_results == theirs.best_metric_results


@pytest.mark.parametrize('flip_seq', [False, True])
def test_vimeo_is_scored_as_in_basicsr(tmp_path, flip_seq):
    dataset = vimeo_set(tmp_path)
    val = {'center_frame_only': True, 'flip_seq': flip_seq}
    ours, theirs = make_model(tmp_path, val=dict(val)), basicsr_model(tmp_path, val=dict(val))
    for model in (ours, theirs):
        model.validation(loader_of(dataset), 5, None)
    assert ours.metric_results['vimeo90k'].shape == (3, 2)
    assert ours.best_metric_results['Vimeo'] == {
        name: {**best, 'val': pytest.approx(best['val'], rel=1e-6)}
        for name, best in theirs.best_metric_results['Vimeo'].items()
    }


def test_vimeo_without_centre_frame_only_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'Vimeo \(VideoTestVimeo90KDataset\).*set val: center_frame_only: true'):
        make_model(tmp_path).validation(loader_of(vimeo_set(tmp_path)), 5, None)


def test_the_lazy_set_is_scored_like_the_cached_one(tmp_path):
    for clip, frames in (('000', 3), ('011', 2)):
        write_clip(tmp_path, clip, frames)
    model = make_model(tmp_path)
    tables = []
    for dataset in (folders_set(tmp_path, 'lazy'), recurrent_set(tmp_path)):
        model.validation(loader_of(dataset), 5, None)
        tables.append(model.metric_results)
    torch.testing.assert_close(*tables, atol=0, rtol=0)


def test_ground_truth_is_read_frame_by_frame(clips, monkeypatch):
    dataset = folders_set(clips, 'set')
    read = []
    read_gt = dataset.read_gt
    monkeypatch.setattr(dataset, 'read_gt', lambda *which: read.append(which) or read_gt(*which))
    make_model(clips).validation(loader_of(dataset), 5, None)
    assert read == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]


def test_the_centre_frame_alone_is_scored_and_saved_with_any_set(clips):
    model = make_model(clips, val={'center_frame_only': True})
    model.validation(loader_of(folders_set(clips, 'set')), 5, None, save_img=True)
    assert [table.shape for table in model.metric_results.values()] == [(1, 2), (1, 2)]
    saved = sorted(path.name for path in (clips / 'visualization').rglob('*.png'))
    assert saved == ['00000001_5.png', 'frame-1_5.png']


def test_the_averaged_weights_are_scored_unless_the_raw_ones_are_asked_for(clips):
    scores = {}
    for use_ema in (True, False):
        model = spread_average(make_model(clips, val={'use_ema': use_ema}))
        model.validation(loader_of(folders_set(clips, 'set')), 5, None)
        network = model.net_g_ema if use_ema else model.net_g
        model.net_g, model.net_g_ema = network, network
        actual = model.metric_results
        model.validation(loader_of(folders_set(clips, 'set')), 5, None)
        torch.testing.assert_close(actual, model.metric_results, atol=0, rtol=0)
        scores[use_ema] = actual['one'][0, 0].item()
    assert scores[True] != scores[False]


def test_without_averaged_weights_the_raw_ones_are_scored(clips):
    model = make_model(clips, train={'ema_decay': 0})
    model.validation(loader_of(folders_set(clips, 'set')), 5, None)
    assert set(model.metric_results) == {'one', 'clip two'}


def test_every_set_has_its_own_table_best_results_and_tags(clips, tmp_path_factory):
    other = tmp_path_factory.mktemp('other')
    write_clip(other, 'three', 4)
    sets = [folders_set(clips, 'first'), folders_set(other, 'second')]
    model, scalars = make_model(clips), [Scalars(), Scalars()]
    tables = {}
    for current_iter, tb_logger in ((1, scalars[0]), (2, scalars[1])):
        for dataset in sets:
            model.validation(loader_of(dataset), current_iter, tb_logger)
            tables[dataset.opt['name']] = model.metric_results
        with torch.no_grad():
            model.net_g_ema.body[0].bias.add_(100)
    assert {name: list(table) for name, table in tables.items()} == {
        'first': ['clip two', 'one'],
        'second': ['three'],
    }
    assert set(scalars[0].values) == {
        f'metrics/{tag}'
        for metric in ('psnr', 'ssim')
        for tag in (
            f'first/{metric}',
            f'first/{metric}/one',
            f'first/{metric}/clip two',
            f'second/{metric}',
            f'second/{metric}/three',
        )
    }
    for name in ('first', 'second'):
        best = model.best_metric_results[name]['psnr']
        assert (best['val'], best['iter']) == scalars[0].values[f'metrics/{name}/psnr']


def test_a_set_without_ground_truth_is_saved_but_not_scored_and_that_is_said_once(tmp_path, log):
    write_clip(tmp_path, 'one', 2, kinds=('LQ',))
    write_clip(tmp_path, 'two', 1, kinds=('LQ',))
    model = make_model(tmp_path)
    for current_iter in (1, 2):
        model.validation(loader_of(folders_set(tmp_path, 'wild', with_gt=False)), current_iter, None, save_img=True)
    assert log().count('wild has no ground truth, so it is not scored') == 1
    assert 'Validation wild' not in log()
    assert (tmp_path / 'visualization' / 'wild' / 'two' / '00000000_2.png').is_file()


def test_without_metrics_nothing_is_scored_or_said(clips, log):
    opt = make_options(clips)
    del opt['val']['metrics']
    GSMModel(opt).validation(loader_of(folders_set(clips, 'set')), 5, None)
    assert 'Validation set' not in log()
    assert 'ground truth' not in log()


def test_images_of_a_training_have_the_iteration_and_the_clips_own_names(clips):
    model = make_model(clips)
    model.validation(loader_of(folders_set(clips, 'set')), 7, None, save_img=True)
    saved = {str(path.relative_to(clips / 'visualization')) for path in clips.rglob('*_7.png')}
    names = [f'one/{frame:08d}' for frame in range(3)] + [f'clip two/frame-{frame}' for frame in range(2)]
    assert saved == {f'set/{name}_7.png' for name in names}
    image = cv2.imread(str(clips / 'visualization' / 'set' / 'clip two' / 'frame-1_7.png'))
    output = model.restore(folders_set(clips, 'set')[0]['lq'][None])[0, 1]
    expected = (output.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()[..., ::-1]
    np.testing.assert_array_equal(image, expected.astype(np.uint8))


@pytest.mark.parametrize('suffix, ending', [(None, 'tiny'), ('x4', 'x4')])
def test_images_of_a_test_have_the_suffix_or_the_name_of_the_experiment(clips, suffix, ending):
    model = make_model(clips, is_train=False, val={'suffix': suffix})
    model.validation(loader_of(folders_set(clips, 'set')), 'tiny', None, save_img=True)
    assert (clips / 'visualization' / 'set' / 'one' / f'00000002_{ending}.png').is_file()


def test_images_of_vimeo_have_the_names_of_their_clips(tmp_path):
    model = make_model(tmp_path, is_train=False, val={'center_frame_only': True})
    model.validation(loader_of(vimeo_set(tmp_path)), 'tiny', None, save_img=True)
    saved = {path.name for path in (tmp_path / 'visualization' / 'Vimeo' / 'vimeo90k').iterdir()}
    assert saved == {f'{clip.replace("/", "_")}_tiny.png' for clip in VIMEO_CLIPS}


def test_tiles_are_used_and_one_large_tile_equals_the_whole_clip(clips):
    lq = folders_set(clips, 'set')[1]['lq'][None]
    whole = make_model(clips).restore(lq)
    large = make_model(clips, val={'tile': [9, 20, 20], 'tile_overlap': [1, 2, 2]}).restore(lq)
    small = make_model(clips, val={'tile': [9, 5, 5], 'tile_overlap': [1, 2, 2]}).restore(lq)
    torch.testing.assert_close(large, whole, atol=1e-6, rtol=0)
    assert small.shape == whole.shape
    # A convolution sees zeros outside of a tile, so inner edges differ and the corner, far from them, does not.
    assert not torch.allclose(small, whole)
    torch.testing.assert_close(small[..., :4, :4], whole[..., :4, :4], atol=1e-6, rtol=0)


def test_tiles_do_not_see_each_other_through_a_pointwise_network(clips):
    lq = torch.rand(1, 5, 3, 9, 11)
    options = {'network_g': {'type': FlowlessNet.__name__}, 'scale': 1}
    whole = make_model(clips, **options).restore(lq)
    tiled = make_model(clips, **options, val={'tile': [2, 4, 5], 'tile_overlap': [1, 2, 3]}).restore(lq)
    torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=0)


def test_the_progress_bar_counts_frames_and_tiles(clips, capsys):
    model = make_model(clips, val={'tile': [9, 5, 5], 'tile_overlap': [1, 2, 2]})
    model.validation(loader_of(folders_set(clips, 'set')), 5, None)
    shown = capsys.readouterr().err
    assert 'set: clip two' in shown
    assert '5/5' in shown
    assert 'frame' in shown
    assert 'tile 6/6' in shown


def test_a_single_process_is_not_told_that_its_validation_is_missing(clips, log):
    make_model(clips).validation(loader_of(folders_set(clips, 'set')), 5, None)
    assert 'not implemented' not in log()
    assert 'Validation set' in log()


def test_modes_of_the_network_are_as_before_also_after_an_error(clips, monkeypatch):
    model = make_model(clips, val={'use_ema': False})
    model.net_g.spynet.eval()
    before = [module.training for module in model.net_g.modules()]
    modes = []
    model.net_g.register_forward_hook(lambda module, *_: modes.append((module.training, torch.is_grad_enabled())))
    model.validation(loader_of(folders_set(clips, 'set')), 5, None)
    assert modes == [(False, False)] * 2
    assert [module.training for module in model.net_g.modules()] == before
    monkeypatch.setattr(nn.Conv2d, 'forward', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.validation(loader_of(folders_set(clips, 'set')), 5, None)
    assert [module.training for module in model.net_g.modules()] == before
    assert torch.is_grad_enabled()


def test_validation_changes_no_weights(clips):
    model = spread_average(make_model(clips))
    before = weights_of(model.net_g), weights_of(model.net_g_ema)
    model.validation(loader_of(folders_set(clips, 'set')), 5, None)
    torch.testing.assert_close((weights_of(model.net_g), weights_of(model.net_g_ema)), before, atol=0, rtol=0)


def test_feeding_and_testing_by_hand_gives_the_averaged_networks_output(clips):
    model = spread_average(make_model(clips))
    lq = torch.rand(2, 3, 3, 5, 5)
    model.feed_data({'lq': lq})
    model.test()
    with torch.no_grad():
        expected = model.net_g_ema(lq)
    torch.testing.assert_close(model.get_current_visuals()['result'], expected, atol=0, rtol=0)
    centre = make_model(clips, val={'center_frame_only': True, 'use_ema': False})
    centre.feed_data({'lq': lq})
    centre.test()
    assert centre.output.shape == (2, 3, 10, 10)


class CentreNet(nn.Module):
    """Sees windows of three frames of at least 16 pixels, and gives the centre frame."""

    def forward(self, x):
        assert x.shape[1] == 3
        assert min(x.shape[-2:]) >= 16
        assert x.shape[-1] % 4 == 0
        mixed = x[:, 1] + x.mean((1, 3, 4), keepdim=True)[:, 0] * 0
        return mixed.repeat_interleave(2, -1).repeat_interleave(2, -2)


def test_a_network_of_windows_and_large_frames_restores_short_and_small_clips(tmp_path):
    from basicsr.utils.registry import ARCH_REGISTRY

    if 'CentreNet' not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(CentreNet)
    val = {'window': 3, 'smallest_side': 16, 'multiple_of': 4}
    model = GSMModel(make_options(tmp_path, is_train=False, network_g={'type': 'CentreNet'}, val=val))
    clip = torch.rand(1, 4, 3, 9, 18)
    expected = clip.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(model.restore(clip), expected, atol=0, rtol=0)
