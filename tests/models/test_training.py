import contextlib
from collections import Counter

import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.guarded_step import NOT_FINITE, STATE_KEY, TrainingDiverged
from tests.models.tiny import FlowlessNet, make_batch, make_options, weights_of


def make_model(root, seed=0, train=None, **changes):
    torch.manual_seed(seed)
    return GSMModel(make_options(root, train=train or {}, **changes))


def run(model, batches, first=1):
    for current_iter, batch in enumerate(batches, start=first):
        model.update_learning_rate(current_iter)
        model.feed_data(batch)
        model.optimize_parameters(current_iter)


def spoiled(batch, key='gt'):
    batch[key] = batch[key].clone()
    batch[key][0, 0, 0, 0, 0] = float('nan')
    return batch


def test_training_lowers_the_loss_and_moves_the_average(tmp_path):
    model = make_model(tmp_path)
    before = weights_of(model.net_g_ema)
    run(model, [make_batch()])
    first = model.log_dict['l_pix']
    run(model, [make_batch() for _ in range(30)], first=2)
    assert model.log_dict['l_pix'] < first
    assert all(not torch.equal(value, before[name]) for name, value in weights_of(model.net_g_ema).items())


def test_a_step_is_that_of_basicsr(tmp_path):
    from basicsr.models.video_recurrent_model import VideoRecurrentModel

    ours = make_model(tmp_path)
    torch.manual_seed(0)
    theirs = VideoRecurrentModel(make_options(tmp_path))
    for model in (ours, theirs):
        run(model, [make_batch(seed) for seed in range(3)])
    assert ours.log_dict['l_pix'] == theirs.log_dict['l_pix']
    for network in ('net_g', 'net_g_ema'):
        actual, expected = weights_of(getattr(ours, network)), weights_of(getattr(theirs, network))
        torch.testing.assert_close(actual, expected, atol=0, rtol=0)


def test_accumulated_steps_are_one_step_with_the_larger_batch(tmp_path):
    parts = [make_batch(seed) for seed in range(4)]
    whole = {key: torch.cat([part[key] for part in parts]) for key in ('lq', 'gt')}
    accumulating = make_model(tmp_path, train={'accumulate_iter': 4})
    start = weights_of(accumulating.net_g)
    run(accumulating, parts[:3])
    torch.testing.assert_close(weights_of(accumulating.net_g), start, atol=0, rtol=0)
    run(accumulating, parts[3:], first=4)
    at_once = make_model(tmp_path)
    run(at_once, [whole])
    torch.testing.assert_close(weights_of(accumulating.net_g), weights_of(at_once.net_g), atol=1e-6, rtol=0)
    torch.testing.assert_close(weights_of(accumulating.net_g_ema), weights_of(at_once.net_g_ema), atol=1e-6, rtol=0)


def test_the_gradients_of_flow_network_and_rest_are_each_clipped_to_the_norm(tmp_path, monkeypatch):
    model = make_model(tmp_path, train={'grad_clip_norm': 1e-3})
    norms = []

    def record(*_):
        for part in (model.net_g.spynet, model.net_g.body):
            gradients = [parameter.grad.flatten() for parameter in part.parameters()]
            norms.append(torch.cat(gradients).norm().item())

    model.optimizer_g.register_step_pre_hook(record)
    run(model, [make_batch()])
    assert norms == [pytest.approx(1e-3, rel=1e-3)] * 2
    assert model.gradient_norms['grad_norm'] > 1e-2


@pytest.mark.parametrize('key', ['gt', 'lq'])
def test_a_bad_batch_changes_nothing_and_is_counted(tmp_path, log, key):
    model = make_model(tmp_path)
    run(model, [make_batch()])
    weights, average = weights_of(model.net_g), weights_of(model.net_g_ema)
    moments = {name: value.clone() for name, value in model.optimizer_g.state_dict()['state'][0].items()}
    run(model, [spoiled(make_batch(1), key)], first=2)
    torch.testing.assert_close(weights_of(model.net_g), weights, atol=0, rtol=0)
    torch.testing.assert_close(weights_of(model.net_g_ema), average, atol=0, rtol=0)
    torch.testing.assert_close(model.optimizer_g.state_dict()['state'][0], moments, atol=0, rtol=0)
    assert model.get_current_log()['skipped_steps'] == 1
    assert 'Iteration 2: loss or gradient is not finite, so the step is skipped (1 in a row, 1 in all)' in log()
    run(model, [make_batch(2)], first=3)
    assert model.get_current_log()['skipped_steps'] == 1
    assert not torch.equal(model.net_g.spynet.weight, weights['spynet.weight'])


def test_a_gradient_that_is_not_finite_is_skipped_though_the_loss_is(tmp_path):
    model = make_model(tmp_path)
    weights = weights_of(model.net_g)
    model.net_g.body[0].weight.register_hook(lambda gradient: gradient * float('inf'))
    run(model, [make_batch()])
    assert torch.isfinite(torch.tensor(model.log_dict['l_pix']))
    torch.testing.assert_close(weights_of(model.net_g), weights, atol=0, rtol=0)


def test_a_loss_that_is_not_finite_is_skipped_though_the_gradient_is(tmp_path):
    model = make_model(tmp_path)
    weights = weights_of(model.net_g)
    model.cri_pix = lambda output, _: output.mean() + float('inf')
    run(model, [make_batch()])
    torch.testing.assert_close(weights_of(model.net_g), weights, atol=0, rtol=0)


def test_a_bad_batch_spoils_its_whole_group_and_no_other(tmp_path):
    model = make_model(tmp_path, train={'accumulate_iter': 2})
    weights = weights_of(model.net_g)
    run(model, [spoiled(make_batch()), make_batch(1)])
    torch.testing.assert_close(weights_of(model.net_g), weights, atol=0, rtol=0)
    run(model, [make_batch(2), make_batch(3)], first=3)
    assert not torch.equal(model.net_g.body[0].weight, weights['body.0.weight'])


def test_an_infinite_loss_spoils_its_group_though_the_gradient_is_finite(tmp_path):
    model = make_model(tmp_path, train={'accumulate_iter': 2})
    weights = weights_of(model.net_g)
    criterion, losses = model.cri_pix, iter([float('inf'), 0.0])
    model.cri_pix = lambda output, gt: criterion(output, gt) + next(losses)
    run(model, [make_batch(), make_batch(1)])
    torch.testing.assert_close(weights_of(model.net_g), weights, atol=0, rtol=0)


def test_training_stops_after_too_many_bad_batches_in_a_row(tmp_path):
    model = make_model(tmp_path, train={'max_skipped_steps': 3})
    run(model, [spoiled(make_batch()), spoiled(make_batch()), make_batch(), spoiled(make_batch())])
    with pytest.raises(TrainingDiverged, match=r'stopped at iteration 6, because 3 steps in a row'):
        run(model, [spoiled(make_batch()), spoiled(make_batch())], first=5)
    assert all(torch.isfinite(value).all() for value in weights_of(model.net_g).values())


def flow_weights(model):
    return {name: value for name, value in weights_of(model.net_g).items() if 'spynet' in name}


def test_the_flow_network_is_fixed_before_the_iteration_and_trained_from_it(tmp_path, log):
    optimizer = {'type': 'Adam', 'lr': 1e-2, 'weight_decay': 0.1}
    model = make_model(tmp_path, train={'fix_flow': 3, 'flow_lr_mul': 0.5, 'optim_g': optimizer})
    start = flow_weights(model)
    body = model.net_g.body[0].weight.clone()
    run(model, [make_batch(0), make_batch(1)])
    torch.testing.assert_close(flow_weights(model), start, atol=0, rtol=0)
    assert not torch.equal(model.net_g.body[0].weight, body)
    assert all(parameter.requires_grad for parameter in model.net_g.parameters())
    run(model, [make_batch(2), make_batch(3)], first=3)
    assert all(not torch.equal(value, start[name]) for name, value in flow_weights(model).items())
    assert log().count('flow network is fixed before iteration 3') == 1
    assert log().count('flow network is trained from iteration 3') == 1


def test_the_flow_network_stays_fixed_after_a_resume(tmp_path, log):
    model = make_model(tmp_path, train={'fix_flow': 4})
    start = flow_weights(model)
    run(model, [make_batch(0), make_batch(1)], first=2)
    torch.testing.assert_close(flow_weights(model), start, atol=0, rtol=0)


def test_a_resume_after_the_warm_up_says_nothing_of_it(tmp_path, log):
    model = make_model(tmp_path, train={'fix_flow': 4})
    start = flow_weights(model)
    run(model, [make_batch(0)], first=4)
    assert not torch.equal(flow_weights(model)['spynet.weight'], start['spynet.weight'])
    assert 'flow network is' not in log()


def test_the_held_gradient_has_no_part_in_the_norm(tmp_path):
    model = make_model(tmp_path, train={'fix_flow': 2})
    model.net_g.spynet.weight.register_hook(lambda gradient: gradient * float('nan'))
    body = model.net_g.body[0].weight.clone()
    run(model, [make_batch()])
    assert not torch.equal(model.net_g.body[0].weight, body)


def test_a_flow_warm_up_without_flow_network_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'fix_flow is 5, but no parameter of network_g has spynet'):
        make_model(tmp_path, train={'fix_flow': 5}, network_g={'type': FlowlessNet.__name__})


def test_bf16_runs_the_network_in_bf16_and_the_loss_in_float32(tmp_path):
    model = make_model(tmp_path, train={'precision': 'bf16'})
    seen = []
    model.net_g.body[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    criterion = model.cri_pix
    model.cri_pix = lambda output, gt: seen.append(output.dtype) or criterion(output, gt)
    run(model, [make_batch()])
    assert seen == [torch.bfloat16, torch.float32]
    assert {parameter.dtype for parameter in model.net_g.parameters()} == {torch.float32}


def test_fp32_casts_nothing(tmp_path):
    model = make_model(tmp_path)
    seen = []
    model.net_g.body[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    run(model, [make_batch()])
    assert seen == [torch.float32]


def test_the_perceptual_loss_sees_single_frames(tmp_path):
    model = make_model(tmp_path)
    shapes = []
    model.cri_perceptual = lambda output, gt: shapes.append((output.shape, gt.shape)) or (output.mean(), None)
    run(model, [make_batch(size=2, frames=3)])
    assert shapes == [((6, 3, 12, 12), (6, 3, 12, 12))]
    assert list(model.log_dict) == ['l_pix', 'l_percep', 'skipped_steps', 'ema_distance']


@pytest.mark.parametrize('train', [{}, {'fix_flow': 3, 'flow_lr_mul': 0.5}, {'accumulate_iter': 2}])
def test_stop_and_resume_equals_an_uninterrupted_run(tmp_path, train):
    batches = [make_batch(seed) for seed in range(5)]
    batches[2] = spoiled(batches[2])
    uninterrupted = make_model(tmp_path, train=dict(train))
    run(uninterrupted, batches)
    stopped = make_model(tmp_path, train=dict(train))
    run(stopped, batches[:4])
    stopped.save(epoch=0, current_iter=4)
    state = torch.load(tmp_path / 'training_states' / '4.state', weights_only=True)
    path = {'pretrain_network_g': str(tmp_path / 'models' / 'net_g_4.pth')}
    resumed = make_model(tmp_path, seed=9, train=dict(train), path=path)
    resumed.resume_training(state)
    run(resumed, batches[4:], first=5)
    for network in ('net_g', 'net_g_ema'):
        actual, expected = weights_of(getattr(resumed, network)), weights_of(getattr(uninterrupted, network))
        torch.testing.assert_close(actual, expected, atol=0, rtol=0)
    assert resumed.log_dict['skipped_steps'] == uninterrupted.log_dict['skipped_steps'] == 1


def test_states_of_basicsr_and_ours_are_understood_by_both(tmp_path):
    from basicsr.models.video_recurrent_model import VideoRecurrentModel

    ours, theirs = make_model(tmp_path), VideoRecurrentModel(make_options(tmp_path))
    for model, other, current_iter in ((ours, theirs, 1), (theirs, ours, 2)):
        run(model, [make_batch()])
        model.save_training_state(0, current_iter)
        other.resume_training(torch.load(tmp_path / 'training_states' / f'{current_iter}.state', weights_only=True))


class FakeScaler:
    """A scaler of fp16, which needs a GPU, reduced to its state."""

    def __init__(self, scale, enabled=True):
        self.state, self.enabled = {'scale': scale} if enabled else {}, enabled

    def is_enabled(self):
        return self.enabled

    def state_dict(self):
        return dict(self.state)

    def load_state_dict(self, state):
        self.state = dict(state)


@pytest.mark.parametrize('enabled, restored', [((True, True), 8.0), ((False, True), 2.0), ((True, False), None)])
def test_the_scaler_travels_in_the_training_state(tmp_path, enabled, restored):
    saving, loading = make_model(tmp_path), make_model(tmp_path)
    saving._guard._scaler = FakeScaler(8.0, enabled[0])
    loading._guard._scaler = FakeScaler(2.0, enabled[1])
    saving._guard.skipped, saving._guard.skipped_in_a_row = Counter({NOT_FINITE: 7}), 2
    state = saving.optimizer_g.state_dict()
    loading.optimizer_g.load_state_dict(state)
    assert loading._guard._scaler.state.get('scale') == restored
    assert (loading._guard.skipped, loading._guard.skipped_in_a_row) == ({NOT_FINITE: 7}, 2)
    assert STATE_KEY in state


def test_a_training_that_goes_on_from_where_one_ended_is_as_patient_as_at_first(tmp_path):
    saving, loading = (make_model(tmp_path, train={'max_skipped_steps': 2}) for _ in range(2))
    saving._guard.skipped_in_a_row = 2
    loading.optimizer_g.load_state_dict(saving.optimizer_g.state_dict())
    assert loading._guard.skipped_in_a_row == 0


def test_late_first_steps_raise_no_warning_about_the_schedule(tmp_path, recwarn):
    run(make_model(tmp_path, train={'accumulate_iter': 3}), [make_batch(seed) for seed in range(4)])
    assert not [warning for warning in recwarn if 'lr_scheduler' in str(warning.message)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='fp16 needs a GPU')
def test_fp16_trains_and_lowers_its_scale_after_an_overflow(tmp_path):
    model = make_model(tmp_path, train={'precision': 'fp16'}, num_gpu=1)
    run(model, [make_batch()])
    scale = model._guard._scaler.get_scale()
    hook = model.net_g.body[0].weight.register_hook(lambda gradient: gradient * float('inf'))
    with contextlib.suppress(TrainingDiverged):
        run(model, [make_batch()], first=2)
    hook.remove()
    assert model._guard._scaler.get_scale() < scale
    run(model, [make_batch() for _ in range(3)], first=3)
    assert all(torch.isfinite(value).all() for value in weights_of(model.net_g).values())
