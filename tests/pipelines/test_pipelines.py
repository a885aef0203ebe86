import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import gsm_plugin
from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.running import run_pipeline
from gsm_plugin.registration import register_all
from tests import tiny_project

pytestmark = pytest.mark.usefixtures('fresh_logger')


def run(project, options, *forced, is_train=True, auto_resume=False):
    file = tiny_project.write_options(project / 'options.yml', options)
    arguments = argparse.Namespace(
        opt=str(file), force_yml=list(forced), launcher='none', auto_resume=auto_resume, debug=False
    )
    run_pipeline(arguments, str(project), is_train)


def networks(project):
    return sorted(path.name for path in (project / 'experiments' / 'tiny' / 'models').iterdir())


def test_a_training_writes_below_the_root_and_validates_on_the_cpu(project, options, capfd):
    run(project, options)
    assert networks(project) == ['net_g_1.pth', 'net_g_2.pth', 'net_g_latest.pth']
    assert (project / 'experiments' / 'tiny' / 'options.yml').exists()
    assert '# psnr: ' in capfd.readouterr().err


@pytest.mark.parametrize('is_train', [True, False])
@pytest.mark.parametrize('kind', ['VideoRecurrentTestDataset', 'VideoFoldersDataset'])
def test_a_cut_frame_of_validation_or_a_test_is_one_sentence(project, options, kind, is_train):
    register_all()
    shutil.copytree(project / 'data' / 'test', project / 'mine')
    cut = project / 'mine' / 'GT' / 'b' / '00000002.png'
    cut.write_bytes(cut.read_bytes()[:-30])
    roots = {'dataroot_gt': 'mine/GT', 'dataroot_lq': 'mine/LQ'}
    section = options['datasets']['val'] | roots if kind[5] == 'R' else {'name': 'V', 'type': kind, **roots}
    if is_train:
        options['datasets']['val'] = section
        options['val']['val_freq'] = 1
    else:
        options = tiny_project.test_options(None)
        options['datasets']['test'] = section
    options['model_type'] = 'GSMModel'
    with pytest.raises(
        UserError, match=r'mine/GT/b/00000002\.png is damaged, cut, or no image; copy or make it again\.$'
    ):
        run(project, options, is_train=is_train)
    if is_train and kind == 'VideoFoldersDataset':
        assert 'net_g_1.pth' in networks(project)


def test_several_validation_sets_are_scored(project, options, capfd):
    tiny_project.write_clip(project / 'more', 'other', 2)
    more = options['datasets']['val'] | {'name': 'Vid4', 'dataroot_gt': 'more/GT', 'dataroot_lq': 'more/LQ'}
    options['datasets']['val_2'] = more
    run(project, options)
    err = capfd.readouterr().err
    assert 'Validation REDS4' in err
    assert 'Validation Vid4' in err


@pytest.mark.parametrize('key', ['scan_backend', 'warp_backend', 'attention_backend'])
def test_a_backend_that_cannot_run_on_the_device_is_refused_before_anything_is_made(project, options, key):
    gsm_plugin.register()
    sizes = {'upscale': options['scale'], 'prop_depth': 2, 'embed_dims': 16, 'num_heads': 2}
    options['network_g'] = {'type': 'GSMamba', **sizes, key: 'triton'}
    message = rf"network_g:{key}: The backend 'triton' of \w+ cannot run here: .* not on cpu"
    with pytest.raises(UserError, match=message):
        run(project, options, 'num_gpu=0')
    assert not (project / 'experiments').exists()


def test_auto_resume_goes_on_where_the_newest_state_is(project, options, capfd):
    run(project, options)
    run(project, options, 'train:total_iter=3', auto_resume=True)
    assert 'net_g_3.pth' in networks(project)
    assert 'Resuming training from epoch: 0, iter: 2.' in capfd.readouterr().err
    assert os.listdir(project / 'experiments') == ['tiny']


def test_auto_resume_without_a_state_starts_afresh(project, options):
    run(project, options, auto_resume=True)
    assert 'net_g_latest.pth' in networks(project)


def test_auto_resume_takes_the_named_state_until_the_experiment_has_one_of_its_own(project, options, capfd):
    run(project, options, 'train:total_iter=1')
    named = Path('experiments', 'tiny', 'training_states', '1.state')
    forced = ('name=other', f'path:resume_state={named}')
    run(project, options, *forced, 'train:total_iter=2', auto_resume=True)
    out = capfd.readouterr().err
    assert f'Resuming training from epoch: 0, iter: 1. The state is {named}.' in out
    assert 'passed over' not in out
    run(project, options, *forced, 'train:total_iter=3', auto_resume=True)
    own = project / 'experiments' / 'other' / 'training_states' / '2.state'
    out = capfd.readouterr().err
    assert f'path:resume_state {named} is passed over: --auto_resume has {own}.' in out
    assert f'Resuming training from epoch: 0, iter: 2. The state is {own}.' in out
    run(project, options, 'name=other', f'path:resume_state={own.with_name("3.state")}', auto_resume=True)
    assert 'passed over' not in capfd.readouterr().err


def test_a_damaged_state_is_named_and_skipped_for_the_one_before(project, options, capfd):
    run(project, options)
    states = project / 'experiments' / 'tiny' / 'training_states'
    (states / '9.state').write_text('cut off')
    run(project, options, 'train:total_iter=3', auto_resume=True)
    err = capfd.readouterr().err
    assert re.search(r'9\.state is skipped, because it is cut off or damaged.*; it is now 9\.state\.damaged', err)
    assert 'Resuming training from epoch: 0, iter: 2.' in err
    assert (states / '9.state.damaged').read_text() == 'cut off'


def test_a_state_of_ours_needs_no_network_beside_it(project, options):
    run(project, options)
    (project / 'experiments' / 'tiny' / 'models' / 'net_g_2.pth').unlink()
    run(project, options, 'train:total_iter=3', auto_resume=True)
    assert 'net_g_3.pth' in networks(project)


def state_of_basicsr(project):
    """Turns the newest state into one that BasicSR's own loop would have written."""
    path = project / 'experiments' / 'tiny' / 'training_states' / '2.state'
    state = torch.load(path, weights_only=True)
    torch.save({key: state[key] for key in ('epoch', 'iter', 'optimizers', 'schedulers')}, path)


def test_a_state_of_basicsr_is_gone_on_with(project, options, capfd):
    run(project, options)
    state_of_basicsr(project)
    run(project, options, 'train:total_iter=3', auto_resume=True)
    assert 'net_g_3.pth' in networks(project)
    assert 'The state is one of BasicSR: the epoch begins again' in capfd.readouterr().err


def test_a_state_of_basicsr_without_its_network_is_refused(project, options):
    run(project, options)
    state_of_basicsr(project)
    (project / 'experiments' / 'tiny' / 'models' / 'net_g_2.pth').unlink()
    with pytest.raises(UserError, match=r'needs the network .*net_g_2\.pth, which does not exist'):
        run(project, options, auto_resume=True)


def test_a_file_that_is_no_state_is_refused(project, options):
    torch.save({'params': {}}, 'weights.pth')
    with pytest.raises(UserError, match=r'weights\.pth cannot be read: it is not a training state'):
        run(project, options, 'path:resume_state=weights.pth')


def test_an_experiment_that_exists_is_renamed_only_after_every_check(project, options):
    run(project, options)
    before = sorted(os.listdir(project / 'experiments'))
    for wrong in ('train:totl_iter=1', 'datasets:train:dataroot_gt=nowhere', 'scale=4', 'train:pixel_opt:type=L1'):
        with pytest.raises(UserError):
            run(project, options, wrong)
    assert sorted(os.listdir(project / 'experiments')) == before
    run(project, options)
    assert len(os.listdir(project / 'experiments')) == 2


def test_a_test_writes_its_images_below_the_root(project, options):
    run(project, options)
    options = tiny_project.test_options('experiments/tiny/models/net_g_latest.pth')
    run(project, options, is_train=False)
    images = project / 'results' / 'tiny' / 'visualization' / 'REDS4' / 'a'
    assert len(list(images.iterdir())) == 3


DISTRIBUTED = f"""
import sys
import gsm_plugin
from gsm_plugin.cli import main
{tiny_project.NETWORK_SOURCE}
gsm_plugin.registration = lambda: None
if __name__ == '__main__':
    main.main(sys.argv[1:])
"""


FAILING = DISTRIBUTED.replace(
    'gsm_plugin.registration = lambda: None',
    """
import os, time


def forward(self, x, count=[0]):
    count[0] += 1
    if os.environ['RANK'] == '1' and count[0] == 3:
        print('fails at', time.time(), flush=True)
        raise ZeroDivisionError('a bug in process 1')
    return original(self, x)


gsm_plugin.registration = lambda: None
original = TinyVideoNet.forward
TinyVideoNet.forward = forward
""",
)


def torchrun(project, source, *flags):
    """Runs a script in two processes, with one of the flags that launchers may pass."""
    (project / 'train.py').write_text(source)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', 'train.py', 'train']
    flags = ['-opt', 'options.yml', '--launcher', 'pytorch', '--local-rank=0', *flags]
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(sys.path)}
    return subprocess.run([*command, *flags], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(torch.cuda.is_available(), reason='the patch is for machines without GPU')
def test_a_process_that_fails_ends_the_run_with_its_traceback_in_seconds(project, options):
    options['train']['total_iter'] = 10**6
    options['logger']['save_checkpoint_freq'] = 10**6
    tiny_project.write_options(project / 'options.yml', options)
    done = torchrun(project, FAILING)
    failed_at = float(re.search(r'fails at (\S+)', done.stdout)[1])
    # where nothing ended it, the other process would wait for half an hour
    assert time.time() - failed_at < 60
    assert done.returncode != 0
    summary = done.stderr[done.stderr.index('Root Cause') :]
    assert re.search(r'rank +: 1 ', summary)
    assert 'ZeroDivisionError: a bug in process 1' in summary
    assert 'in optimize_parameters' in summary


@pytest.mark.skipif(torch.cuda.is_available(), reason='the patch is for machines without GPU')
def test_two_processes_train_over_gloo_without_a_gpu(project, options):
    tiny_project.write_options(project / 'options.yml', options)
    done = torchrun(project, DISTRIBUTED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('No GPU here: distributed training runs on the CPU, over gloo.') == 1
    assert 'net_g_latest.pth' in networks(project)
    assert '# psnr: ' in done.stderr


def content_of(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob('*'))}


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('train:precision=fp8', "precision is 'fp8'"),
        ('val:tile=[2,4,4]', 'tile_overlap is 2'),
        ('datasets:train:batch_size_per_gpu=200', 'less than the 200 of a batch'),
        ('path:pretrain_network_g=data/train/meta_info.txt', 'meta_info.txt'),
        ('train:fix_flow=3', 'fix_flow is 3'),
        ('train:freeze=[nothing.*]', 'nothing'),
    ],
)
def test_a_refused_training_changes_nothing(project, options, capfd, forced, expected):
    gsm_plugin.register()
    options['model_type'] = 'GSMModel'
    run(project, options, 'logger:use_tb_logger=true')
    before = content_of(project / 'experiments') | content_of(project / 'tb_logger')
    capfd.readouterr()
    with pytest.raises(UserError, match=expected):
        run(project, options, 'logger:use_tb_logger=true', forced)
    assert content_of(project / 'experiments') | content_of(project / 'tb_logger') == before
    assert 'INFO' not in capfd.readouterr().err


@pytest.mark.parametrize(
    'forced, expected',
    [
        (
            ['network_g={type: RRDBNet, num_in_ch: 3, num_out_ch: 3, scale: 2, num_feat: 8, num_block: 1}'],
            r'RRDBNet cannot take samples of datasets:train, 2x3x8x8 \(.*\); give it a data set, num_frame',
        ),
        (
            ['network_g={type: TinyFixedNet}'],
            r'TinyFixedNet makes 2x3x24x24 of samples of 2x3x8x8, whose ground truth is 2x3x16x16; make scale',
        ),
    ],
)
def test_a_network_that_does_not_fit_the_samples_is_refused_before_anything_is_made(project, options, forced, expected):
    from basicsr.utils.registry import ARCH_REGISTRY
    from torch import nn

    class TinyFixedNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x.repeat_interleave(3, 3).repeat_interleave(3, 4) * self.weight

    if 'TinyFixedNet' not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(TinyFixedNet)
    with pytest.raises(UserError, match=expected):
        run(project, options, *forced)
    assert not (project / 'experiments').exists()


def test_a_refused_test_changes_nothing(project, options):
    gsm_plugin.register()
    options['model_type'] = 'GSMModel'
    run(project, options)
    options = tiny_project.test_options('experiments/tiny/models/net_g_latest.pth') | {'model_type': 'GSMModel'}
    run(project, options, is_train=False)
    before = content_of(project / 'results')
    for forced in ('val:tile=[2,4,4]', 'network_g:width=8'):
        with pytest.raises(UserError):
            run(project, options, forced, is_train=False)
    assert content_of(project / 'results') == before


def test_runs_of_the_same_second_are_all_kept(project, options, monkeypatch):
    monkeypatch.setattr('gsm_plugin.training.run_folders.get_time_str', lambda: 'now')
    for _ in range(4):
        run(project, options)
    expected = ['tiny', *(f'tiny_archived_now{number}' for number in ('', '_2', '_3'))]
    assert sorted(os.listdir(project / 'experiments')) == expected


@pytest.mark.parametrize('is_train, taken', [(True, 'experiments'), (False, 'results')])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_built(project, options, is_train, taken):
    (project / taken).write_text('a file')
    options = options if is_train else tiny_project.test_options(None)
    with pytest.raises(UserError, match=rf'{taken}/tiny cannot be written \(.*{taken} is a file\); start in a folder'):
        run(project, options, is_train=is_train)


def test_ignored_keys_are_told_in_the_log_too(project, options, capfd):
    options['train']['ema_decay'] = 0.9
    run(project, options, 'use_static_graph=true', 'datasets:train:use_shuffle=false')
    (log,) = (project / 'experiments' / 'tiny').glob('train_tiny_*.log')
    for text in (log.read_text(), capfd.readouterr().err):
        for key in ('use_static_graph', 'datasets:train:use_shuffle'):
            assert text.count(f'WARNING: {key} is ignored') == 1


def test_a_border_that_leaves_nothing_of_a_frame_is_refused(project, options):
    gsm_plugin.register()
    options = tiny_project.test_options(None) | {'model_type': 'GSMModel'}
    with pytest.raises(UserError, match='psnr:crop_border is 8, which leaves nothing of frames of 16 x 16'):
        run(project, options, 'val:metrics:psnr:crop_border=8', is_train=False)


def test_a_disk_that_is_full_for_the_images_is_no_half_image(project, options, monkeypatch):
    import errno
    from pathlib import Path

    from gsm_plugin.training.machine_faults import explain

    gsm_plugin.register()
    write = Path.write_bytes

    def full(path, content):
        if '00000001' in path.name:
            write(path, content[:10])
            raise OSError(errno.ENOSPC, 'No space left on device', str(path))
        return write(path, content)

    monkeypatch.setattr(Path, 'write_bytes', full)
    options = tiny_project.test_options(None) | {'model_type': 'GSMModel'}
    with pytest.raises(OSError) as caught:
        run(project, options, is_train=False)
    assert explain(caught.value).startswith('The disk is full (')
    images = project / 'results' / 'tiny' / 'visualization' / 'REDS4' / 'a'
    assert [path.name for path in images.iterdir()] == ['00000000_tiny.png']
