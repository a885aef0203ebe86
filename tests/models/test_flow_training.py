"""Training of the flow network: kept by default, put back where it gets worse, skipped where flows are no motion."""

from copy import deepcopy

import pytest
import torch
from torch import nn

import gsm_plugin
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.errors import UserError
from gsm_plugin.metrics.flow_health import measure_flows
from gsm_plugin.models import flow_training, flow_validation
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.guarded_step import NO_MOTION, TrainingDiverged
from tests.models.tiny import (
    FlowlessNet,
    TinyFlowNet,
    folders_set,
    loader_of,
    make_options,
    weights_of,
    write_clip,
)

MOTION = 2.0


def fast(**changes):
    return {'flow_lr_mul': 3.0, 'optim_g': {'type': 'Adam', 'lr': 1e-2}, **changes}


def moving_clip(size=1, frames=3, side=12, seed=0):
    """Noise that moves by two pixels to the right from frame to frame; a wide texture, so that it fills every frame."""
    noise = torch.rand(size, 3, side, side + 2 * frames, generator=torch.Generator().manual_seed(seed))
    return torch.stack([noise[..., 2 * (frames - i) :][..., :side] for i in range(frames)], 1)


def flow_network_file(root):
    """Weights with which TinyFlowNet's flows are the motion of `moving_clip`."""
    network = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.tensor([MOTION, 0.0]))
    path = root / 'flow.pth'
    torch.save(network.state_dict(), path)
    return str(path)


def batch(seed=0, frames=3):
    lq = moving_clip(frames=frames, seed=seed)
    return {'lq': lq, 'gt': lq.repeat_interleave(2, -1).repeat_interleave(2, -2), 'key': ['a/0']}


def make_model(root, loaded=True, **changes):
    torch.manual_seed(0)
    network = {'type': TinyFlowNet.__name__, 'spynet_path': flow_network_file(root) if loaded else None}
    return GSMModel(make_options(root, network_g=network, **changes))


def run(model, steps, first=1):
    for current_iter in range(first, first + steps):
        model.update_learning_rate(current_iter)
        model.feed_data(batch(current_iter))
        model.optimize_parameters(current_iter)


def motion_of(model):
    flows = model.get_bare_model(model.net_g).estimate_flows(batch()['lq'])
    return flows[0].detach()[:, :, 0].mean().item()


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(flow_training, '_CHECK_EVERY', 5)


def test_a_loaded_flow_network_is_kept_by_default_and_the_log_says_so(tmp_path, log):
    model = make_model(tmp_path)
    before = weights_of(model.net_g.spynet)
    run(model, 3)
    torch.testing.assert_close(weights_of(model.net_g.spynet), before, atol=0, rtol=0)
    assert 'The flow network keeps the weights that it was loaded with' in log()
    # BasicSR's, in which it would seem to be trained
    assert 'learning rate for flow network' not in log()


@pytest.mark.parametrize('train', [{'flow_lr_mul': 0.5}, {'fix_flow': 2}])
def test_it_is_trained_where_a_key_says_so(tmp_path, log, train):
    model = make_model(tmp_path, train={**train, 'flow_tolerance': None})
    assert f'learning rate for flow network with {train.get("flow_lr_mul", 1)}' in log()
    before = weights_of(model.net_g.spynet)
    run(model, 3)
    assert not torch.equal(model.net_g.spynet.weight, before['weight'])


def test_a_new_flow_network_is_trained(tmp_path):
    model = make_model(tmp_path, loaded=False)
    before = weights_of(model.net_g.spynet)
    run(model, 3)
    assert not torch.equal(model.net_g.spynet.weight, before['weight'])


def test_without_the_comparison_training_ruins_the_flows(tmp_path):
    model = make_model(tmp_path, train=fast(flow_tolerance=None))
    run(model, 40)
    assert abs(motion_of(model) - MOTION) > 0.3


def test_flows_that_get_worse_are_put_back_once_and_kept(tmp_path, log):
    model = make_model(tmp_path, train=fast())
    run(model, 40)
    assert motion_of(model) == pytest.approx(MOTION, abs=1e-6)
    assert log().count('training has made the flow network worse') == 1
    assert not model.optimizer_g.state.keys() & set(model.net_g.spynet.parameters())
    torch.testing.assert_close(weights_of(model.net_g_ema.spynet), weights_of(model.net_g.spynet), atol=0, rtol=0)
    body = model.net_g.body[0].weight.clone()
    run(model, 2, first=41)
    assert motion_of(model) == pytest.approx(MOTION, abs=1e-6)
    assert not torch.equal(model.net_g.body[0].weight, body)


def test_what_became_of_the_comparison_travels_in_the_networks_of_a_state(tmp_path):
    model, resumed = (make_model(tmp_path, train=fast()) for _ in range(2))
    run(model, 40)
    state = model.net_flow_reference.state_dict()
    assert state['held_at'] > 0
    resumed.net_flow_reference.load_state_dict(state)
    before = weights_of(resumed.net_g.spynet)
    run(resumed, 3)
    torch.testing.assert_close(weights_of(resumed.net_g.spynet), before, atol=0, rtol=0)


def blow_up(model, value):
    with torch.no_grad():
        model.net_g.spynet.bias.fill_(value)


@pytest.mark.parametrize('value', [1e3, 1e30, float('inf'), float('nan')])
def test_flows_that_no_motion_can_have_cost_a_step_and_are_put_back_at_once(tmp_path, log, value):
    model = make_model(tmp_path, train={'flow_lr_mul': 0.1})
    run(model, 2)
    blow_up(model, value)
    body = model.net_g.body[0].weight.clone()
    run(model, 1, first=3)
    torch.testing.assert_close(model.net_g.body[0].weight, body, atol=0, rtol=0)
    assert motion_of(model) == pytest.approx(MOTION, abs=1e-6)
    assert 'so the step is skipped (1 in a row, 1 in all)' in log()
    run(model, 2, first=4)
    assert not torch.equal(model.net_g.body[0].weight, body)
    assert model.log_dict['skipped_steps'] == 1


def test_without_a_way_back_the_training_ends_and_names_the_flow_network(tmp_path):
    model = make_model(tmp_path, train={'flow_lr_mul': 0.1, 'flow_tolerance': None, 'max_skipped_steps': 2})
    blow_up(model, 1e4)
    with pytest.raises(TrainingDiverged, match=r'a flow is longer than any motion \(flows of spynet\).*spynet\.\*'):
        run(model, 2)
    assert model._guard.skipped == {NO_MOTION: 2}


def test_a_gradient_far_above_its_median_is_skipped_and_its_part_is_named(tmp_path, log):
    model = make_model(tmp_path, train={'gradient_limit': 10})
    run(model, 52)
    assert model._guard.skipped.total() == 0
    body = model.net_g.body[0].weight.clone()
    criterion, model.cri_pix = model.cri_pix, lambda *args: 1e4 * criterion(*args)
    run(model, 1, first=53)
    torch.testing.assert_close(model.net_g.body[0].weight, body, atol=0, rtol=0)
    assert 'the gradient is far above its median' in log()
    assert 'Where: gradients of body.0.' in log()
    model.cri_pix = criterion
    run(model, 1, first=54)
    assert not torch.equal(model.net_g.body[0].weight, body)


def test_the_norms_travel_in_the_state_of_the_optimizer(tmp_path):
    saving, loading = make_model(tmp_path), make_model(tmp_path)
    run(saving, 3)
    loading.optimizer_g.load_state_dict(saving.optimizer_g.state_dict())
    assert list(loading._guard._history['rest']) == list(saving._guard._history['rest'])
    assert len(loading._guard._history['rest']) == 3


def test_flows_and_what_may_die_are_in_the_log(tmp_path):
    model = make_model(tmp_path, train={'flow_lr_mul': 0.1})
    run(model, 1)
    flows = {'flow_mean', 'flow_max', 'flow_error', 'flow_error_still'}
    assert flows | {'ema_distance'} <= model.log_dict.keys()
    assert model.log_dict['flow_mean'] == pytest.approx(MOTION)
    assert model.gradient_norms.keys() == {'grad_norm', 'flow_grad_norm'}


def test_a_checkpoint_is_due_before_the_flow_network_is_freed(tmp_path):
    model = make_model(tmp_path, train={'fix_flow': 4})
    assert [i for i in range(1, 8) if model.checkpoint_is_due(i)] == [3]
    assert not make_model(tmp_path).checkpoint_is_due(3)


def test_a_clip_of_one_frame_has_no_flows_to_judge(tmp_path):
    model = make_model(tmp_path, train={'flow_lr_mul': 0.1})
    model.feed_data(batch(frames=1))
    model.optimize_parameters(1)
    assert model.log_dict['skipped_steps'] == 0
    assert 'flow_error' not in model.log_dict


@pytest.mark.parametrize('key', ['flow_tolerance', 'gradient_limit', 'flow_limit', 'flow_lr_mul'])
@pytest.mark.parametrize('value', [-1, 'much', True, float('nan')])
def test_wrong_values_are_refused_by_name(tmp_path, key, value):
    with pytest.raises(UserError, match=f'train:{key} is'):
        make_model(tmp_path, train={key: value})


def test_networks_without_flows_train_as_before(tmp_path):
    model = GSMModel(make_options(tmp_path, network_g={'type': FlowlessNet.__name__}))
    assert not hasattr(model, 'net_flow_reference')


def constant_spynet(network, x_backward):
    """Lets a SPyNet see the motion in the brightness of its frames: x = x_backward where the second one is brighter."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        convolutions = [layer for layer in network.basic_module[-1].basic_module if isinstance(layer, nn.Conv2d)]
        centre = 3
        for sign, channel in ((-1, 0), (1, 1)):
            # first minus second image, in red, normalised by SPyNet's deviation
            convolutions[0].weight[channel, 0, centre, centre] = sign
            convolutions[0].weight[channel, 3, centre, centre] = -sign
            for convolution in convolutions[1:-1]:
                convolution.weight[channel, channel, centre, centre] = 1
            convolutions[-1].weight[0, channel, centre, centre] = -sign * x_backward


@pytest.mark.parametrize('train, keeps', [({}, True), (fast(), True), (fast(flow_tolerance=None), False)])
def test_gsm_trains_with_flows_that_still_have_the_motion_at_the_end(tmp_path, train, keeps):
    gsm_plugin.register()
    options = {'upscale': 2, 'prop_depth': 2, 'attn_depth': 0, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2}
    torch.manual_seed(0)
    source = GSMamba(**options)
    std = source.spynet.std[0, 0, 0, 0]
    step, side = 0.1, 12
    constant_spynet(source.spynet, MOTION * std / step)
    torch.save({'params': source.spynet.state_dict()}, tmp_path / 'spynet.pth')
    network = {'type': 'GSMamba', **options, 'spynet_path': str(tmp_path / 'spynet.pth')}
    opt = make_options(tmp_path, network_g=network, train={**deepcopy(train), 'ema_decay': 0})
    torch.manual_seed(0)
    model = GSMModel(opt)

    def brightening(seed):
        clip = moving_clip(frames=3, side=side, seed=seed) * 0.5
        clip[:, :, 0] = 0.3 + step * torch.arange(3).view(1, 3, 1, 1)
        return clip

    lq = brightening(0)
    backward, forward = model.net_g.estimate_flows(lq)
    assert backward[:, :, 0].mean().item() == pytest.approx(MOTION, abs=0.05)
    assert forward[:, :, 0].mean().item() == pytest.approx(-MOTION, abs=0.05)
    healthy = measure_flows(lq, backward, forward)
    assert healthy.error < 0.4 * healthy.error_of_no_motion
    for current_iter in range(1, 7):
        lq = brightening(current_iter)
        model.feed_data({'lq': lq, 'gt': lq.repeat_interleave(2, -1).repeat_interleave(2, -2)})
        model.optimize_parameters(current_iter)
    lq = brightening(0)
    found = measure_flows(lq, *model.net_g.estimate_flows(lq))
    assert (found.error <= 1.05 * healthy.error) is keeps


def test_a_validation_measures_flows_and_on_demand_what_they_are_worth(tmp_path, log):
    write_clip(tmp_path, 'moving', 3)
    model = make_model(tmp_path, val={'flow_worth': True})
    model.validation(loader_of(folders_set(tmp_path, 'held')), 7, None)
    numbers = model.flow_results['held']
    assert numbers['flow_mean'] == pytest.approx(MOTION)
    assert {'flow_error', 'flow_error_still', 'psnr_no_flows', 'psnr_wrong_flows'} <= numbers.keys()
    # its body sees the flows, so that other ones change the score
    assert numbers['psnr_no_flows'] != pytest.approx(model.metric_results['moving'][:, 0].mean().item(), abs=1e-3)
    assert 'Flows of held: flow_mean 2,' in log()


def test_flows_worse_than_none_get_one_warning(tmp_path, log):
    write_clip(tmp_path, 'still', 1)
    frame = (tmp_path / 'LQ/still/00000000.png').read_bytes(), (tmp_path / 'GT/still/00000000.png').read_bytes()
    for i in (1, 2):
        for kind, content in zip(('LQ', 'GT'), frame, strict=True):
            (tmp_path / f'{kind}/still/{i:08d}.png').write_bytes(content)
    model = make_model(tmp_path)
    for iteration in (1, 2):
        model.validation(loader_of(folders_set(tmp_path, 'held')), iteration, None)
    assert log().count('The flows are worse than none in held') == 1


@pytest.mark.parametrize('clips', [[{'flow_mean': 1.0, 'flow_max': 5.0}, {'flow_mean': 3.0, 'flow_max': 2.0}, {}]])
def test_numbers_of_clips_are_averaged_but_for_the_longest_flow(clips):
    assert flow_validation.mean_numbers(dict(enumerate(clips)), None) == {'flow_mean': 2.0, 'flow_max': 5.0}
