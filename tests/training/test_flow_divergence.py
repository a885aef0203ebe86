"""A training whose flow network blows up: what it leaves, and how it goes on."""

import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all
from tests.training import runs

pytestmark = pytest.mark.usefixtures('fresh_logger')


@pytest.fixture
def options(options, project):
    register_all()
    torch.save(torch.nn.Conv2d(3, 2, 1).state_dict(), project / 'flow.pth')
    options['network_g'] = {'type': 'TinyFlowNet', 'spynet_path': str(project / 'flow.pth')}
    options['model_type'] = 'GSMModel'
    options['train'] |= {'flow_lr_mul': 0.1, 'flow_tolerance': None, 'max_skipped_steps': 2, 'accumulate_iter': 1}
    options['train']['total_iter'] = 8
    return options


def blow_up(loop):
    with torch.no_grad():
        loop.parts.model.net_g.spynet.bias.fill_(1e4)


def test_it_goes_back_to_the_last_good_checkpoint(project, options, monkeypatch):
    runs.at_iteration(monkeypatch, 5, blow_up)
    runs.train(project, options, train__on_divergence='rollback', logger__save_checkpoint_freq=4)
    assert runs.records_of(project, 'rollback') == [{'kind': 'rollback', 'iter': 4, 'from_iter': 7, 'times': 1}]
    bias = runs.state_of(project, 8)['networks']['net_g']['spynet.bias']
    assert bias.abs().max() < 1


def test_it_ends_with_the_name_of_the_part_and_a_checkpoint_to_go_on_from(project, options, monkeypatch):
    runs.at_iteration(monkeypatch, 5, blow_up)
    with pytest.raises(UserError, match=r'flows of spynet.* Its weights at the last good step are saved\.'):
        runs.train(project, options, logger__save_checkpoint_freq=100)
    assert runs.checkpoints_of(project) == [7]
    # as the cure says, without training the flow network
    runs.train(project, options, auto_resume=True, train__flow_limit=1e6, logger__save_checkpoint_freq=100)
    assert runs.checkpoints_of(project)[-1] == 8


def test_a_checkpoint_is_made_before_the_flow_network_is_freed(project, options):
    runs.train(project, options, train__fix_flow=4, logger__save_checkpoint_freq=100)
    assert 3 in runs.checkpoints_of(project)


def test_that_checkpoint_stays(project, options):
    runs.train(project, options, train__fix_flow=4, logger__save_checkpoint_freq=1, logger__keep_last=2)
    assert runs.checkpoints_of(project) == [3, 7, 8]


def test_flows_and_norms_are_in_the_records(project, options):
    runs.train(project, options)
    record = runs.records_of(project, 'train')[-1]
    assert {'flow_mean', 'flow_max', 'flow_error', 'flow_error_still', 'grad_norm', 'flow_grad_norm'} <= record.keys()
