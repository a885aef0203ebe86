import os
import stat

import pytest

from gsm_plugin.compat import joining_processes
from gsm_plugin.errors import UserError

SLURM = {'SLURM_PROCID': '5', 'SLURM_NTASKS': '8', 'SLURM_LOCALID': '1', 'SLURM_NODELIST': 'gpu[03-05,07],login1'}


@pytest.fixture
def slurm(no_launcher, monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)


def variables():
    return {name: os.environ.get(name) for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')}


@pytest.mark.parametrize(
    'nodes, expected',
    [
        ('gpu[03-05,07],login1', 'gpu03'),
        ('node1', 'node1'),
        ('a1,a2', 'a1'),
        ('rack[1-2]node[3-4]-ib', 'rack1node3-ib'),
    ],
)
def test_the_first_host_is_found_without_scontrol(nodes, expected, monkeypatch):
    monkeypatch.setattr(joining_processes.shutil, 'which', lambda name: None)
    assert joining_processes.first_host(nodes) == expected


def test_scontrol_is_asked_where_it_is(tmp_path, monkeypatch):
    script = tmp_path / 'scontrol'
    script.write_text('#!/bin/sh\necho "asked-$3"\necho other\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    assert joining_processes.first_host('gpu3') == 'asked-gpu3'


@pytest.mark.usefixtures('slurm')
def test_slurms_variables_become_those_of_torchrun():
    joining_processes.take_over_from_slurm(None)
    expected = {'RANK': '5', 'LOCAL_RANK': '1', 'WORLD_SIZE': '8', 'MASTER_ADDR': 'gpu03', 'MASTER_PORT': '29500'}
    assert variables() == expected


@pytest.mark.usefixtures('slurm')
def test_what_a_script_exports_stays_and_the_option_file_comes_first(monkeypatch):
    monkeypatch.setenv('MASTER_ADDR', '10.0.0.1')
    monkeypatch.setenv('MASTER_PORT', '1234')
    joining_processes.take_over_from_slurm(None)
    assert (os.environ['MASTER_ADDR'], os.environ['MASTER_PORT']) == ('10.0.0.1', '1234')
    joining_processes.take_over_from_slurm(777)
    assert os.environ['MASTER_PORT'] == '777'


@pytest.mark.parametrize('local_rank, gpus, expected', [('1', 4, 1), ('3', 1, 0), (None, 4, 2)])
def test_a_process_takes_the_gpu_of_its_number_on_its_machine(monkeypatch, no_launcher, local_rank, gpus, expected):
    monkeypatch.setenv('RANK', '6')
    if local_rank is not None:
        monkeypatch.setenv('LOCAL_RANK', local_rank)
    assert joining_processes.gpu_of_this_process(gpus) == expected


@pytest.mark.usefixtures('no_launcher')
@pytest.mark.parametrize(
    'launcher, named', [('pytorch', 'RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT'), ('slurm', 'SLURM_PROCID')]
)
def test_a_process_that_no_launcher_started_is_told_how(launcher, named):
    from basicsr.utils import dist_util

    with pytest.raises(UserError, match=f'--launcher {launcher} needs {named}.* in the environment; start it by'):
        dist_util.init_dist(launcher)


def torchruns_variables(monkeypatch, local_world_size, shared, max_restarts, restarts):
    monkeypatch.setenv('WORLD_SIZE', '4')
    monkeypatch.setenv('LOCAL_WORLD_SIZE', local_world_size)
    monkeypatch.setenv('TORCHELASTIC_USE_AGENT_STORE', shared)
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', max_restarts)
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', restarts)


@pytest.mark.usefixtures('no_launcher')
@pytest.mark.parametrize(
    'local_world_size, shared, max_restarts, expected',
    [('2', 'True', '3', True), ('2', 'False', '3', False), ('2', 'True', '0', False), ('4', 'True', '3', False)],
)
def test_restarts_on_several_machines_need_a_store_of_their_own(
    monkeypatch, local_world_size, shared, max_restarts, expected
):
    torchruns_variables(monkeypatch, local_world_size, shared, max_restarts, '0')
    assert joining_processes.restarts_may_hang() == expected


@pytest.mark.usefixtures('no_launcher')
@pytest.mark.parametrize('local_world_size, restarts', [('4', '0'), ('2', '1')])
def test_the_store_is_torchs_own_at_the_first_start_and_on_several_machines(monkeypatch, local_world_size, restarts):
    torchruns_variables(monkeypatch, local_world_size, 'True', '3', restarts)
    assert joining_processes.store_after_restart() == {}
