"""PyTorch's optimisers and schedulers by name, and trainings that go on under another schedule."""

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all
from tests.training import runs

pytestmark = pytest.mark.usefixtures('fresh_logger')

COSINE = {'type': 'CosineAnnealingRestartLR', 'periods': [4], 'restart_weights': [1], 'eta_min': 1e-7}


@pytest.fixture
def options(options):
    register_all()
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'TinyRecurrentNet'}}
    options['train'] |= {'total_iter': 4}
    options['logger']['save_checkpoint_freq'] = 4
    return options


def rates(project):
    return {record['iter']: record['lrs'][0] for record in runs.records_of(project, 'train')}


@pytest.mark.parametrize(
    'before, after',
    [
        (COSINE, {'periods': [7]}),
        (COSINE, {'periods': [4, 3], 'restart_weights': [1, 0.5]}),
        ({'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5}, {'milestones': [3, 5]}),
        ({'type': 'OneCycleLR', 'max_lr': 1e-3, 'total_steps': 4}, {'total_steps': 9, 'max_lr': 2e-3}),
        ({'type': 'CosineAnnealingLR', 'T_max': 4}, {'T_max': 7}),
        ({'type': 'ExponentialLR', 'gamma': 0.5}, {'gamma': 0.9}),
        ({'type': 'CosineAnnealingWarmRestarts', 'T_0': 2}, {'T_0': 3}),
    ],
)
def test_a_training_that_goes_on_for_longer_follows_the_new_schedule(project, options, capfd, before, after):
    options['train']['scheduler'] = before
    runs.train(project, options)
    expected_start = rates(project)
    options['train'] |= {'total_iter': 7, 'scheduler': before | after}
    runs.train(project, options, auto_resume=True)
    actual = rates(project)
    assert '; the learning rate follows it from here on.' in capfd.readouterr().err
    runs.train(project, options)
    always = rates(project)
    assert actual == pytest.approx({**always, **expected_start}, rel=1e-9)


def test_a_rate_that_was_changed_is_taken(project, options):
    runs.train(project, options)
    runs.train(project, options, True, train__total_iter=5, train__optim_g__lr=3e-6)
    assert rates(project)[4] == 1e-4
    # halved at the third iteration, as the file says
    assert rates(project)[5] == 1.5e-6


def test_a_state_of_basicsr_follows_the_new_schedule_too(project, options):
    import torch

    options['train']['scheduler'] = COSINE
    runs.train(project, options)
    path = project / 'experiments' / 'tiny' / 'training_states' / '4.state'
    state = torch.load(path, weights_only=True)
    torch.save({key: state[key] for key in ('epoch', 'iter', 'optimizers', 'schedulers')}, path)
    runs.train(project, options, True, train__total_iter=6, train__scheduler__periods=[6])
    assert 1e-6 < rates(project)[5] < rates(project)[1]


@pytest.mark.parametrize(
    'section, key',
    [({'optim_g': {'type': 'SGD', 'lr': 1e-4}}, 'optim_g'), ({'scheduler': COSINE | {'periods': [9]}}, 'scheduler')],
)
def test_another_type_is_refused_before_the_first_step(project, options, section, key):
    runs.train(project, options)
    options['train'] |= {'total_iter': 5, **section}
    with pytest.raises(UserError, match=rf'train:{key}:type was \w+ in .* and is {section[key]["type"]}; set it back'):
        runs.train(project, options, auto_resume=True)
    assert max(rates(project)) == 4


@pytest.mark.parametrize('kind', ['AdamW', 'SGD', 'RMSprop', 'NAdam', 'Adafactor'])
def test_optimisers_of_pytorch_train_and_resume_exactly(project, options, tmp_path_factory, kind):
    options['train'] |= {'optim_g': {'type': kind, 'lr': 1e-3}, 'total_iter': 6}
    options['logger']['save_checkpoint_freq'] = 3
    runs.train(project, options)
    other = tmp_path_factory.mktemp('stopped')
    (other / 'data').symlink_to(project / 'data')
    runs.train(other, options, train__total_iter=3)
    runs.train(other, options, auto_resume=True)
    runs.assert_same_end(other, project, 6)


def test_a_warm_up_leaves_the_schedule_as_it_is(project, options):
    options['train'] |= {'scheduler': {'type': 'CosineAnnealingLR', 'T_max': 8}, 'total_iter': 6}
    runs.train(project, options)
    expected = rates(project)
    runs.train(project, options, train__warmup_iter=3)
    assert [rates(project)[i] == pytest.approx(expected[i]) for i in range(1, 7)] == [False, False, *[True] * 4]


@pytest.mark.parametrize(
    'section, expected',
    [
        ({'optim_g': {'type': 'LBFGS', 'lr': 1}}, r'optim_g:type is LBFGS, which computes the loss several times a st'),
        ({'optim_g': {'type': 'AdamV', 'lr': 1}}, r"no optimiser is called 'AdamV'; did you mean Adam"),
        ({'optim_g': {'type': 'Adam'}}, r'train:optim_g:lr is missing; set it: learning rate'),
        ({'optim_g': {'type': 'Muon', 'lr': 1e-3}}, r'Muon refuses its arguments: Muon only supports 2D'),
        ({'optim_g': {'type': 'AdamW', 'lr': 1e-3, 'weight_decy': 0}}, r'did you mean train:optim_g:weight_decay'),
        ({'optim_g': {'type': 'SGD', 'lr': 1e-3, 'nesterov': True}}, r'SGD refuses its arguments: Nesterov'),
        ({'scheduler': {'type': 'ReduceLROnPlateau'}}, r'is ReduceLROnPlateau, which waits for a validation; take'),
        ({'scheduler': {'type': 'StepLR'}}, r'train:scheduler lacks step_size, which StepLR needs'),
        ({'scheduler': {'type': 'StepLR', 'step_size': 'a'}}, r"step_size is 'a'; it must be a whole number"),
        ({'scheduler': {'type': 'OneCycleLR', 'max_lr': 1, 'total_steps': 3}}, r'ends after 3 steps, before the 4 of'),
        ({'scheduler': {'type': 'OneCycleLR', 'max_lr': 1}}, r'OneCycleLR refuses its arguments: .*total_steps'),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_made(project, options, section, expected):
    options['train'] |= section
    with pytest.raises(UserError, match=expected):
        runs.train(project, options)
    assert not (project / 'experiments').exists()
