"""Trainings that start from the weights of a whole network, its flow network among them."""

import pytest
import torch

from gsm_plugin.registration import register_all
from tests.models.tiny import TinyFlowNet
from tests.training import runs

pytestmark = pytest.mark.usefixtures('fresh_logger')


@pytest.fixture
def weights():
    return TinyFlowNet().state_dict()


@pytest.fixture
def options(options, project, weights):
    register_all()
    torch.save({'params': weights}, project / 'before.pth')
    options['network_g'] = {'type': 'TinyFlowNet'}
    options['model_type'] = 'GSMModel'
    options['path']['pretrain_network_g'] = str(project / 'before.pth')
    options['train'] |= {'flow_tolerance': None, 'accumulate_iter': 1, 'total_iter': 2}
    return options


def changed(project, iteration, weights):
    """The parts that differ from what they were at first."""
    after = runs.state_of(project, iteration)['networks']['net_g']
    return {name.partition('.')[0] for name in weights if not torch.equal(after[name].cpu(), weights[name])}


def test_a_flow_network_of_the_weights_is_kept_also_when_they_are_gone(project, options, weights, capfd):
    runs.train(project, options)
    assert 'The flow network keeps the weights that it was loaded with' in capfd.readouterr().err
    (project / 'before.pth').unlink()
    runs.train(project, options, auto_resume=True, train__total_iter=4)
    found = changed(project, 4, weights)
    assert found
    assert 'spynet' not in found


@pytest.mark.parametrize('train', [{'flow_lr_mul': 0.5}, {'fix_flow': 1}])
def test_it_is_trained_where_the_option_file_says_so(project, options, weights, train):
    options['train'] |= train
    runs.train(project, options)
    assert 'spynet' in changed(project, 2, weights)


def test_it_is_trained_where_the_weights_have_none(project, options, weights):
    rest = {name: value for name, value in weights.items() if 'spynet' not in name}
    torch.save({'params': rest}, project / 'before.pth')
    first = {}
    runs.train(project, options | {'path': options['path'] | {'strict_load_g': False}}, train__total_iter=1)
    first = runs.state_of(project, 1)['networks']['net_g']
    runs.train(project, options | {'path': options['path'] | {'strict_load_g': False}}, auto_resume=True)
    assert 'spynet' in changed(project, 2, first)
