import json
from pathlib import Path

import pytest
import torch
from basicsr.models import build_model

from gsm_plugin.errors import UserError
from gsm_plugin.export.convert import convert
from gsm_plugin.inference.loading import load_network
from gsm_plugin.locks import locked
from gsm_plugin.registration import register_all
from gsm_plugin.training.data_order import TrainingData
from gsm_plugin.training.loop import TrainingLoop
from tests.archs.tiny_gsm import TINY
from tests.training import runs

# what no shape tells, none of it as published
TOLD = {'pa_frame': 1, 'anchor': 'forward', 'scatter': 'anchor', 'flow_composition': 'exact', 'ssm_init': 'mamba'}

pytestmark = pytest.mark.usefixtures('fresh_logger')


@pytest.fixture
def options(options):
    register_all()
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'TinyRecurrentNet'}}
    options['train'] |= {'total_iter': 8, 'ema_decay': 0.5}
    options['logger']['save_checkpoint_freq'] = 2
    return options


def spoil(monkeypatch, spoiled):
    """Lets the data of some iterations be no numbers."""
    train_on = TrainingLoop._train_on

    def train_on_bad_data(loop, batch):
        if spoiled(loop.at):
            batch['gt'] *= float('nan')
        train_on(loop, batch)

    monkeypatch.setattr(TrainingLoop, '_train_on', train_on_bad_data)


@pytest.mark.parametrize('auto_resume', [False, True])
def test_an_experiment_that_another_process_trains_is_left_to_it(project, options, auto_resume):
    runs.train(project, options, train__total_iter=2)
    experiments = project / 'experiments'
    with locked(experiments / 'tiny'):
        before = sorted(experiments.rglob('*'))
        with pytest.raises(UserError, match=r'tiny is being written by process \d+ on .* since'):
            runs.train(project, options, auto_resume=auto_resume)
        assert sorted(experiments.rglob('*')) == before
    runs.train(project, options, auto_resume=True)
    assert [path.name for path in experiments.iterdir()] == ['tiny']


def test_the_time_limit_saves_and_returns(project, options):
    runs.train(project, options, train__max_hours=1e-12)
    assert runs.checkpoints_of(project) == [1]
    assert runs.networks_of(project) == ['net_g_1.pth']
    assert runs.records_of(project, 'stop') == [{'kind': 'stop', 'iter': 1, 'reason': 'time'}]


def test_the_network_called_latest_is_that_of_a_finished_training(project, options, monkeypatch):
    runs.at_iteration(monkeypatch, 3, runs.terminate)
    runs.train(project, options)
    assert 'net_g_latest.pth' not in runs.networks_of(project)
    runs.train(project, options, auto_resume=True)
    assert 'net_g_latest.pth' in runs.networks_of(project)


def test_networks_are_laid_out_as_basicsr_does_it(project, options):
    runs.train(project, options)
    path = project / 'experiments/tiny/models'
    latest = torch.load(path / 'net_g_latest.pth', weights_only=True)
    assert list(latest) == ['params', 'params_ema', 'metadata']
    state = runs.state_of(project, 8)
    runs.assert_same(latest['params'], state['networks']['net_g'])
    runs.assert_same(latest['params_ema'], state['networks']['net_g_ema'])


@pytest.mark.parametrize('decay', [0, 0.5])
def test_saved_networks_tell_their_options_and_basicsr_loads_them(project, options, caplog, decay):
    options['network_g'] = {'type': 'GSMamba', **TINY, **TOLD}
    runs.train(project, options, train__total_iter=1, train__ema_decay=decay)
    path = project / 'experiments/tiny/models/net_g_latest.pth'
    caplog.clear()
    for file in (path, convert(path, project / 'a.safetensors', {}).path):
        loaded = load_network(file, {}, torch.device('cpu'))
        assert {key: loaded.options[key] for key in TOLD} == TOLD
        assert 'does not tell' not in caplog.text
    model = build_model(options | {'is_train': False, 'dist': False, 'rank': 0, 'model_type': 'VideoRecurrentModel'})
    model.load_network(model.net_g, str(path), True, 'params')
    runs.assert_same(model.net_g.state_dict(), torch.load(path, weights_only=True)['params'])


def test_data_that_cannot_be_read_cost_no_training(project, options, monkeypatch):
    batches = TrainingData.batches

    def five(self, position):
        for number, batch in enumerate(batches(self, position), 1):
            if number > 5:
                raise UserError('00000007.png is damaged.')
            yield batch

    monkeypatch.setattr(TrainingData, 'batches', five)
    options['datasets']['train']['dataset_enlarge_ratio'] = 50
    with pytest.raises(UserError, match='is damaged'):
        runs.train(project, options, logger__save_checkpoint_freq=100)
    assert runs.checkpoints_of(project) == [5]


def test_only_some_checkpoints_stay(project, options):
    runs.train(project, options, logger__keep_last=1, logger__keep_every=4)
    assert runs.checkpoints_of(project) == [4, 8]
    assert runs.networks_of(project) == ['net_g_4.pth', 'net_g_8.pth', 'net_g_latest.pth']


@pytest.mark.parametrize('better, best', [('higher', 4), ('lower', 2)])
def test_the_best_networks_are_kept(project, options, monkeypatch, better, best):
    from gsm_plugin.models import validation

    scores = iter([3.0, 9.0, 9.0])
    monkeypatch.setattr(validation, 'gather_tables', lambda *_: {'a': torch.tensor([[next(scores)]])})
    options['val'] |= {'val_freq': 2, 'metrics': {'score': {'type': 'calculate_psnr', 'crop_border': 0}}}
    options['val']['metrics']['score']['better'] = better
    runs.train(project, options, train__total_iter=6, logger__save_best='score')
    # Of equal ones the first.
    kept, expected = (
        torch.load(project / f'experiments/tiny/models/net_g_{name}.pth', weights_only=True) for name in ('best', best)
    )
    runs.assert_same(kept, expected)


def test_divergence_stops_in_a_sentence(project, options, monkeypatch):
    spoil(monkeypatch, lambda at: at.iteration > 5)
    with pytest.raises(UserError, match='Training stopped at iteration 7, because 2 steps in a row'):
        runs.train(project, options, train__max_skipped_steps=2)


def test_divergence_goes_back_to_a_checkpoint_and_on_with_other_data(project, options, monkeypatch):
    spoil(monkeypatch, lambda at: at.iteration > 4 and at.rollbacks == 0)
    runs.train(project, options, train__max_skipped_steps=3, train__on_divergence='rollback')
    # The state of iteration 6 was saved among skipped steps.
    assert runs.records_of(project, 'rollback') == [{'kind': 'rollback', 'iter': 4, 'from_iter': 7, 'times': 1}]
    state = runs.state_of(project, 8)
    assert state['rollbacks'] == 1
    assert state['is_good']
    assert [record['iter'] for record in runs.records_of(project, 'train')] == list(range(1, 9))
    assert all(torch.isfinite(value).all() for value in state['networks']['net_g'].values())


@pytest.mark.parametrize('iteration', [5, 7, 8])
def test_a_training_that_went_back_resumes_exactly(project, options, monkeypatch, tmp_path_factory, iteration):
    spoil(monkeypatch, lambda at: at.iteration > 4 and at.rollbacks == 0)
    options['train'] |= {'max_skipped_steps': 3, 'on_divergence': 'rollback', 'total_iter': 9}
    other = tmp_path_factory.mktemp('never_stopped')
    (other / 'data').symlink_to(project / 'data')
    with monkeypatch.context() as patch:
        patch.chdir(other)
        runs.train(other, options)
    train_on = TrainingLoop._train_on

    def train_on_and_die(loop, batch):
        train_on(loop, batch)
        if loop.at.rollbacks and loop.at.iteration == iteration:
            raise runs.Killed

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, '_train_on', train_on_and_die)
        with pytest.raises(runs.Killed):
            runs.train(project, options)
    runs.train(project, options, auto_resume=True)
    runs.assert_same_end(project, other, 9)


def test_it_does_not_go_back_for_ever(project, options, monkeypatch):
    spoil(monkeypatch, lambda at: at.iteration > 4)
    with pytest.raises(UserError, match=r'stopped at iteration 6.* No rollback: it went back 3 times\.'):
        runs.train(project, options, train__max_skipped_steps=2, train__on_divergence='rollback')


def test_there_must_be_something_to_go_back_to(project, options, monkeypatch):
    spoil(monkeypatch, lambda at: True)
    with pytest.raises(UserError, match='No rollback: there is no checkpoint to go back to'):
        runs.train(project, options, train__max_skipped_steps=2, train__on_divergence='rollback')


def test_a_full_disk_stops_the_training_and_keeps_what_there_is(project, options, monkeypatch):
    write = Path.write_bytes

    def write_until_full(path, content):
        if path.name.startswith('6.'):
            write(path, content[:100])
            raise OSError(28, 'No space left on device')
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', write_until_full)
        with pytest.raises(UserError, match=r'6\.state cannot be written \(No space left on device\)'):
            runs.train(project, options, logger__keep_last=1)
    assert runs.checkpoints_of(project) == [4]
    assert not list(project.rglob('*.part'))
    runs.train(project, options, auto_resume=True)
    assert runs.checkpoints_of(project) == [4, 6, 8]


def test_a_disk_that_is_full_for_the_log_is_told_too(project, options, monkeypatch):
    from gsm_plugin.training.json_lines import JsonLines

    def full(*_, **__):
        raise OSError(28, 'No space left on device', 'train.jsonl')

    monkeypatch.setattr(JsonLines, 'write', full)
    with pytest.raises(UserError, match=r'The disk is full \(train\.jsonl\); make room'):
        runs.train(project, options)


def test_another_network_is_refused(project, options):
    runs.train(project, options)
    options['network_g'] = {'type': 'TinyVideoNet'}
    with pytest.raises(UserError, match=r'of iteration 8 is of another network or optimiser .* set network_g'):
        runs.train(project, options, auto_resume=True, train__total_iter=9)


def test_an_average_that_the_state_lacks_starts_from_the_network(project, options, capfd):
    options['train'].pop('ema_decay')
    runs.train(project, options)
    runs.train(project, options | {'train': options['train'] | {'ema_decay': 0.0001, 'total_iter': 9}}, True)
    assert 'The state has no net_g_ema, so it starts from net_g.' in capfd.readouterr().err


def test_another_size_of_batch_goes_on_where_it_was_and_is_told(project, options, capfd):
    runs.train(project, options, datasets__train__batch_size_per_gpu=2)
    runs.train(project, options, auto_resume=True, train__total_iter=9, datasets__train__batch_size_per_gpu=4)
    err = capfd.readouterr().err
    assert 'The state is of 1 process(es) with 2 sample(s) an iteration together; now it is 1 with 4.' in err
    assert 'datasets:train:batch_size_per_gpu was 2 and is 4.' in err
    assert runs.state_of(project, 9)['samples'] == 8 * 2 + 4


def test_changes_that_the_state_overrides_are_told(project, options, capfd):
    runs.train(project, options)
    runs.train(project, options, auto_resume=True, train__total_iter=9, train__optim_g__betas=[0.5, 0.6])
    assert (
        'train:optim_g:betas was [0.9, 0.99] and is [0.5, 0.6]; the state keeps what it was.' in capfd.readouterr().err
    )
    assert tuple(runs.state_of(project, 9)['optimizers'][0]['param_groups'][0]['betas']) == (0.9, 0.99)


def test_a_seed_that_was_drawn_is_kept(project, options):
    options.pop('manual_seed')
    runs.train(project, options)
    path = project / 'experiments/tiny/training_states'
    runs.train(project, options, auto_resume=True, train__total_iter=9)
    seeds = [torch.load(path / f'{n}.state', weights_only=True)['run']['seed'] for n in (8, 9)]
    assert seeds[0] == seeds[1]


def test_what_is_logged(project, options, capfd):
    runs.train(project, options)
    err = capfd.readouterr().err
    line = next(line for line in err.splitlines() if 'iter:       4' in line)
    for part in (
        '[epoch:  0,',
        'lr:(1.000e-04,',
        'eta: 0:00:0',
        ' it/s, time (data): ',
        'memory: ',
        'l_pix: ',
        'grad_norm: ',
    ):
        assert part in line, line
    raw = [json.loads(one) for one in (project / 'experiments/tiny/train.jsonl').read_text().splitlines()]
    assert [one['kind'] for one in raw] == ['start', *['train'] * 8, 'validation', 'end']
    assert {'eta_s', 'it_per_s', 'data_time_s', 'memory_gib', 'lrs', 'l_pix', 'grad_norm', 'epoch'} <= raw[1].keys()
    assert raw[-2]['dataset'] == 'REDS4'
    assert 5 < raw[-2]['psnr'] < 15


def test_models_of_basicsr_train_and_resume_exactly(project, options, monkeypatch, tmp_path_factory):
    options |= {'model_type': 'VideoRecurrentModel', 'network_g': {'type': 'TinyVideoNet', 'width': 4}}
    options['train'] = options['train'] | {'total_iter': 6}
    other = tmp_path_factory.mktemp('never_stopped')
    (other / 'data').symlink_to(project / 'data')
    with monkeypatch.context() as patch:
        patch.chdir(other)
        runs.train(other, options)
    runs.at_iteration(monkeypatch, 5, runs.kill)
    with pytest.raises(runs.Killed):
        runs.train(project, options)
    runs.train(project, options, auto_resume=True)
    runs.assert_same_end(project, other, 6)
    assert runs.records_of(project, 'train')[0]['grad_norm'] > 0


def test_tensorboard_gets_the_numbers(project, options):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runs.train(project, options, logger__use_tb_logger=True)
    events = EventAccumulator(str(project / 'tb_logger/tiny'))
    events.Reload()
    assert {'losses/l_pix', 'grad_norm', 'lr/0'} <= set(events.Tags()['scalars'])
    assert [event.step for event in events.Scalars('losses/l_pix')] == list(range(1, 9))


def test_a_picture_at_each_validation(project, options):
    from basicsr.utils import imfrombytes

    options['val']['val_freq'] = 1
    runs.train(project, options, train__total_iter=2, logger__sample_pictures=True)
    folder = project / 'experiments/tiny/visualization/REDS4/samples'
    assert sorted(path.name for path in folder.iterdir()) == ['1.png', '2.png']
    # The input enlarged, the output, and the ground truth.
    assert imfrombytes((folder / '2.png').read_bytes()).shape == (16, 3 * 16, 3)


def test_basicsrs_own_loop_goes_on_from_our_states(project, options):
    import basicsr.train

    runs.train(project, options)
    path = project / 'experiments/tiny'
    folders = {'models': path / 'models', 'training_states': path / 'training_states', 'log': path}
    opt = {'auto_resume': True, 'network_g': {}, 'path': {**folders, 'visualization': path / 'visualization'}}
    state = basicsr.train.load_resume_state(opt)
    assert (state['epoch'], state['iter']) == (0, 8)
    assert opt['path']['pretrain_network_g'] == str(path / 'models/net_g_8.pth')


def test_deterministic_algorithms_are_chosen_for_the_training(project, options, monkeypatch):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':16:8')
    benchmark = torch.backends.cudnn.benchmark
    seen = []
    runs.at_iteration(monkeypatch, 1, lambda _: seen.append(torch.are_deterministic_algorithms_enabled()))
    try:
        runs.train(project, options, deterministic=True, train__total_iter=1)
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, benchmark
    assert seen == [True]


def test_basicsrs_loop_says_what_it_does_not_do(options):
    from gsm_plugin.training.loop_options import what_basicsr_leaves_out

    options['logger'] |= {'keep_last': 2, 'save_checkpoint_freq': 5}
    options['train'] |= {'accumulate_iter': 2, 'max_hours': None}
    keys, groups = what_basicsr_leaves_out(options)
    assert 'logger:keep_last' in keys
    assert 'max_hours' not in keys
    assert 'save_checkpoint_freq is 5, no multiple of train:accumulate_iter (2)' in groups
    options['logger'] |= {'keep_last': None, 'save_checkpoint_freq': 4}
    assert list(what_basicsr_leaves_out(options)) == []
