import pytest
import torch

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.window_attention import relative_position_index
from gsm_plugin.weights.loading import load_weights
from gsm_plugin.weights.network_fit import fit_weights, group_names, stretch_bias_table, window_of

BASE = {'upscale': 4, 'prop_depth': 2, 'attn_depth': 1, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2}
TABLE = 'prop_layers.0.stage.attn_blocks.blocks.0.attn.relative_position_bias_table'


def make(seed=0, **changes):
    torch.manual_seed(seed)
    return GSMamba(**{**BASE, **changes})


def fine_tune(tmp_path, **changes):
    """Weights of the base network in another one, non-strictly: (the other before, the other after, the base)."""
    base = make(1)
    torch.save({'params': base.state_dict()}, tmp_path / 'base.pth')
    network = make(2, **changes)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, str(tmp_path / 'base.pth'), strict=False)
    return before, network.state_dict(), base.state_dict()


def test_another_scale_takes_all_but_the_enlargement(tmp_path, log):
    _, after, base = fine_tune(tmp_path, upscale=2)
    new = {name for name in after if name not in base or not torch.equal(after[name], base[name])}
    assert new == {'upsample.5.weight', 'upsample.5.bias'}
    assert 'made new: upsample.5.weight: 256x64x1x3x3 in the file, 64x64x1x3x3 in the network.' in log()
    assert 'left in the file: upsample.10.*.' in log()
    assert 'taken: conv_first.*, prop_layers.*, implicit_align.*, norm.*, conv_after_body.*,' in log()


def test_more_layers_are_new_and_the_others_taken(tmp_path, log):
    before, after, base = fine_tune(tmp_path, prop_depth=4)
    for name, value in after.items():
        torch.testing.assert_close(value, base.get(name, before[name]), atol=0, rtol=0)
    assert 'made new, for the file has none: prop_layers.2.*, prop_layers.3.*.' in log()


def test_fewer_layers_leave_the_rest_in_the_file(tmp_path, log):
    base = make(1, prop_depth=4)
    torch.save(base.state_dict(), tmp_path / 'base.pth')
    load_weights(make(2), str(tmp_path / 'base.pth'), strict=False)
    assert 'left in the file: prop_layers.2.*, prop_layers.3.*.' in log()


def test_another_temporal_window_takes_everything(tmp_path, log):
    _, after, base = fine_tune(tmp_path, pa_frame=2)
    torch.testing.assert_close(after, base, atol=0, rtol=0)
    assert 'made new' not in log()


def test_another_attention_window_stretches_the_tables_and_keeps_its_own_index(tmp_path, log):
    before, after, base = fine_tune(tmp_path, window_size=[2, 4, 4])
    index = TABLE.replace('bias_table', 'index')
    torch.testing.assert_close(after[index], before[index], atol=0, rtol=0)
    torch.testing.assert_close(after[TABLE], stretch_bias_table(base[TABLE], (2, 8, 8), (2, 4, 4)), atol=0, rtol=0)
    rest = {name for name in after if 'relative_position' not in name}
    assert all(torch.equal(after[name], base[name]) for name in rest)
    assert f'interpolated: {TABLE}: 675x2 in the file, 147x2 in the network (windows 2x8x8, 2x4x4).' in log()
    assert 'made new' not in log()


def test_a_network_with_another_window_runs():
    assert make(window_size=[1, 4, 2])(torch.rand(1, 2, 3, 7, 6)).shape == (1, 2, 3, 28, 24)


@pytest.mark.parametrize('window', [8, [2, 8], [2, 8, 0], [2, 8, 'x']])
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(ValueError, match=r'window_size is .*; set frames, height and width, such as \[2, 8, 8\]'):
        make(window_size=window)


def test_the_same_window_leaves_a_table_as_it_is():
    table = torch.randn(3 * 7 * 5, 2)
    torch.testing.assert_close(stretch_bias_table(table, (2, 4, 3), (2, 4, 3)), table, atol=1e-6, rtol=0)


def test_a_table_that_is_linear_in_the_offset_stays_so():
    """Rows hold their offset relative to the largest one, so stretching must give the same for the new offsets."""

    def ramp(depth, height, width):
        axes = [torch.linspace(-1, 1, 2 * side - 1) if side > 1 else torch.zeros(1) for side in (depth, height, width)]
        return torch.stack(torch.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3)

    torch.testing.assert_close(stretch_bias_table(ramp(2, 4, 4), (2, 4, 4), (3, 8, 5)), ramp(3, 8, 5))


@pytest.mark.parametrize('window', [(2, 8, 8), (1, 4, 6), (6, 4, 2), (3, 3, 3)])
def test_the_window_is_known_from_the_index(window):
    rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
    assert window_of(torch.zeros(rows, 2), relative_position_index(window)) == window


def test_a_table_without_its_index_is_made_new(tmp_path, log):
    base = make(1).state_dict()
    del base[TABLE.replace('bias_table', 'index')]
    fit = fit_weights(base, make(2, window_size=[2, 4, 4]))
    assert list(fit.resized) == [TABLE]
    assert TABLE not in fit.weights


def test_a_table_of_another_number_of_heads_is_made_new():
    fit = fit_weights(make(1).state_dict(), make(2, window_size=[2, 4, 4], num_heads=4))
    assert TABLE in fit.resized
    assert not fit.interpolated


def test_names_are_grouped_by_the_outermost_module_that_is_whole():
    every = ['a.0.w', 'a.0.b', 'a.1.w', 'c', 'd.w']
    assert group_names({'a.0.w', 'a.0.b', 'c', 'd.w'}, every) == ['a.0.*', 'c', 'd.*']
    assert group_names(every, every) == ['a.*', 'c', 'd.*']
