"""What is made of a right option file before a run."""

import argparse
import sys

import pytest

from gsm_plugin.pipelines.preparing import prepare_options
from tests import tiny_project
from tests.archs.tiny_gsm import TINY
from tests.options.preparing import prepare


def test_a_right_file_is_finished_as_basicsr_does_it(project, options):
    actual = prepare(project, options)
    home = project / 'experiments' / 'tiny'
    assert actual['path']['training_states'] == str(home / 'training_states')
    assert actual['path']['visualization'] == str(home / 'visualization')
    assert (actual['is_train'], actual['dist'], actual['rank'], actual['world_size']) == (True, False, 0, 1)
    assert actual['datasets']['val']['phase'] == 'val'
    assert actual['datasets']['train']['scale'] == tiny_project.SCALE
    assert not home.exists()


def test_more_gpus_than_there_are_are_not_asked_for_silently(project, options, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 0)
    actual = prepare(project, options, 'num_gpu=8')
    assert actual['num_gpu'] == 0
    assert 'num_gpu is 8, but this machine has no GPU: the run is on the CPU.' in capsys.readouterr().out


@pytest.mark.parametrize('broken, ignored', [('wandb', ['wandb']), ('tensorboard', ['use_tb_logger', 'wandb'])])
def test_loggers_that_cannot_be_imported_are_ignored_aloud(project, options, capsys, monkeypatch, broken, ignored):
    (project / 'stubs').mkdir()
    for name in ('wandb', 'tensorboard'):
        (project / 'stubs' / f'{name}.py').write_text('raise ImportError' if name == broken else '__version__ = "2.0"')
    monkeypatch.syspath_prepend(project / 'stubs')
    for name in list(sys.modules):
        if name.startswith(('wandb', 'tensorboard', 'torch.utils.tensorboard')):
            monkeypatch.delitem(sys.modules, name)
    if broken == 'wandb':
        monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', argparse)
    actual = prepare(project, options, 'logger:wandb={project: x}', 'logger:use_tb_logger=true')
    assert actual['logger']['wandb'] is None
    assert actual['logger']['use_tb_logger'] is (broken == 'wandb')
    out = capsys.readouterr().out
    assert [line.split(' ')[0] for line in out.splitlines()] == [f'logger:{key}' for key in ignored]
    assert f'(pip install {broken})' in out


def test_a_test_without_weights_is_announced(project, capsys):
    options = tiny_project.test_options('unused')
    prepare(project, options, 'path:pretrain_network_g=~', is_train=False)
    assert 'random weights' in capsys.readouterr().out


@pytest.mark.parametrize('set_, is_told', [('name=mine', True), ('network_g:spynet_path=gsm-small-x4', False)])
def test_a_flow_network_of_random_weights_is_announced(project, options, capsys, set_, is_told):
    options['network_g'] = {'type': 'GSMamba', **TINY}
    prepare(project, options, set_)
    assert ('the flow network starts from random weights' in capsys.readouterr().out) == is_told


@pytest.mark.parametrize('until, is_told', [(0, False), (5, False), (100, True)])
def test_a_flow_network_that_is_never_freed_is_announced(project, options, capsys, until, is_told):
    options['train']['total_iter'] = 100
    prepare(project, options, f'train:fix_flow={until}')
    assert ('the flow network is not trained in it' in capsys.readouterr().out) == is_told


def test_debug_gives_a_name_of_its_own_and_short_intervals(project, options):
    file = tiny_project.write_options(project / 'options.yml', options)
    arguments = argparse.Namespace(opt=str(file), force_yml=None, launcher='none', auto_resume=False, debug=True)
    actual = prepare_options(arguments, str(project), True)
    assert (actual['name'], actual['val']['val_freq'], actual['logger']['print_freq']) == ('debug_tiny', 8, 1)


def test_the_home_folder_is_expanded(project, options, monkeypatch):
    monkeypatch.setenv('HOME', str(project))
    actual = prepare(project, options, 'datasets:val:dataroot_gt=~/data/test/GT')
    assert actual['datasets']['val']['dataroot_gt'] == f'{project}/data/test/GT'
