import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.models.gsm_model import GSMModel
from tests.models.tiny import make_batch, make_options, weights_of


def make_model(root, seed=0, **train):
    torch.manual_seed(seed)
    return GSMModel(make_options(root, train=train))


def run(model, count=3):
    for current_iter in range(1, count + 1):
        model.feed_data(make_batch(current_iter))
        model.optimize_parameters(current_iter)


def test_what_is_frozen_stays_and_the_rest_is_trained(tmp_path, log):
    optimizer = {'type': 'Adam', 'lr': 1e-2, 'weight_decay': 0.1}
    model = make_model(tmp_path, freeze=['spynet.*', '*.0.bias'], flow_lr_mul=0.5, optim_g=optimizer)
    before = weights_of(model.net_g)
    run(model)
    after = weights_of(model.net_g)
    frozen = {'spynet.weight', 'spynet.bias', 'body.0.bias'}
    assert {name for name in after if torch.equal(after[name], before[name])} == frozen
    assert 'Frozen by train: freeze: 3 of 4 parameters of TinyRecurrentNet (96 numbers).' in log()


@pytest.mark.parametrize(
    'pattern, nearest', [('spynet', 'spynet.*'), ('spinet.*', 'spynet.*'), ('body.0.wieght', 'body.0.weight')]
)
def test_a_pattern_that_fits_nothing_is_an_error_with_the_nearest(tmp_path, pattern, nearest):
    sentence = f'train: freeze has {pattern!r}, which fits no parameter of TinyRecurrentNet; did you mean {nearest!r}?'
    with pytest.raises(UserError) as error:
        make_model(tmp_path, freeze=[pattern])
    assert str(error.value) == sentence


def test_freezing_everything_is_refused(tmp_path):
    with pytest.raises(UserError, match='which leaves nothing to train'):
        make_model(tmp_path, freeze=['*'])


@pytest.mark.parametrize('value', ['spynet.*', [1], {'a': 1}])
def test_what_is_no_list_of_names_is_refused(tmp_path, value):
    with pytest.raises(UserError, match=r'train:freeze is .*; it must be a list of texts'):
        make_model(tmp_path, freeze=value)


def test_a_warm_up_of_a_frozen_flow_network_is_refused(tmp_path):
    with pytest.raises(UserError, match='fix_flow is 5, but train: freeze holds spynet for good'):
        make_model(tmp_path, freeze=['spynet.*'], fix_flow=5)


def test_a_state_goes_on_with_another_choice(tmp_path):
    model = make_model(tmp_path)
    run(model)
    state = model.optimizer_g.state_dict()
    other = make_model(tmp_path, freeze=['spynet.*'])
    other.optimizer_g.load_state_dict(state)
    run(other)
