import argparse
import sys

import pytest
import yaml

from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.preparing import prepare_options
from gsm_plugin.registration import register_all
from tests import tiny_project


def prepare(project, options, *forced, is_train=True):
    file = tiny_project.write_options(project / 'options.yml', options)
    arguments = argparse.Namespace(
        opt=str(file), force_yml=list(forced), launcher='none', auto_resume=False, debug=False
    )
    return prepare_options(arguments, str(project), is_train)


def test_a_right_file_is_finished_as_basicsr_does_it(project, options):
    actual = prepare(project, options)
    home = project / 'experiments' / 'tiny'
    assert actual['path']['training_states'] == str(home / 'training_states')
    assert actual['path']['visualization'] == str(home / 'visualization')
    assert (actual['is_train'], actual['dist'], actual['rank'], actual['world_size']) == (True, False, 0, 1)
    assert actual['datasets']['val']['phase'] == 'val'
    assert actual['datasets']['train']['scale'] == tiny_project.SCALE
    assert not home.exists()


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('train:totl_iter=3', 'train:totl_iter; did you mean train:total_iter?'),
        ('val:ema_decay=0.1', 'val:ema_decay; did you mean train:ema_decay?'),
        ('modle_type=x', 'modle_type; did you mean model_type?'),
        ('datasets:train:use_flip=true', 'datasets:train:use_flip; did you mean datasets:train:use_hflip?'),
        ('datasets:val:batch_size_per_gpu=1', 'datasets:val:batch_size_per_gpu: it is for the training set'),
        (
            'datasets:val:io_backend:kind=disk',
            'datasets:val:io_backend:kind; did you mean datasets:val:io_backend:type',
        ),
        ('network_g:widht=4', 'network_g:widht; did you mean network_g:width?'),
        ('network_d:type=TinyVideoNet', 'network_d; did you mean network_g?'),
        ('path:pretrain_model_g=x', 'path:pretrain_model_g; did you mean path:pretrain_network_g?'),
        ('path:experiments_root=x', 'path:experiments_root'),
        ('train:optim_g:lrr=1', 'train:optim_g:lrr; did you mean train:optim_g:lr?'),
        ('train:scheduler:gama=1', 'train:scheduler:gama; did you mean train:scheduler:gamma?'),
        ('train:pixel_opt:loss_wieght=1', 'did you mean train:pixel_opt:loss_weight?'),
        ('train:pixle_opt={type: L1Loss}', 'train:pixle_opt; did you mean train:pixel_opt?'),
        ('val:metrics:psnr:crop=0', 'val:metrics:psnr:crop; did you mean val:metrics:psnr:crop_border?'),
        ('logger:wandb={projekt: x}', 'logger:wandb:projekt; did you mean logger:wandb:project?'),
    ],
)
def test_a_key_that_nothing_reads_is_named_with_the_nearest_known_one(project, options, forced, expected):
    with pytest.raises(UserError) as error:
        prepare(project, options, forced)
    assert expected in str(error.value)


def test_all_keys_that_nothing_reads_are_named(project, options):
    with pytest.raises(UserError, match=r'The same goes for val:bar\.'):
        prepare(project, options, 'train:foo=1', 'val:bar=1')


@pytest.mark.parametrize(
    'forced',
    [
        *['train:warmup_iter=2', 'train:flow_lr_mul=0.5', 'val:flip_seq=true', 'datasets:train:pin_memory=false'],
        *['datasets:train:interval_list=[1,2]', 'val:metrics:psnr:better=higher', 'logger:wandb={project: none}'],
        *['train:optim_g:eps=1e-7', 'path:param_key_g=params_ema', 'find_unused_parameters=true'],
    ],
)
def test_a_key_that_is_read_may_be_added(project, options, forced):
    prepare(project, options, forced)


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('model_type=VideoRecurentModel', "'VideoRecurentModel'; did you mean VideoRecurrentModel? Known ones: EDVR"),
        ('network_g:type=TinyVideo', "no network is called 'TinyVideo'; did you mean TinyVideoNet"),
        ('network_g:type=3', 'network_g:type is 3'),
        ('network_g=3', 'network_g is 3; it must be a section with a type'),
        ('datasets:val:type=VideoTest', 'no data set is called'),
        ('train:pixel_opt:type=L1', "no loss is called 'L1'; did you mean L1Loss"),
        ('val:metrics:psnr:type=psnr', "no metric is called 'psnr'; did you mean calculate_psnr"),
        ('train:optim_g:type=AdamX', 'did you mean Adam'),
        ('train:scheduler:type=CosineRestart', 'did you mean CosineAnnealingRestartLR'),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(project, options, forced, expected):
    with pytest.raises(UserError) as error:
        prepare(project, options, forced)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('datasets:train:dataroot_gt=nowhere', 'datasets:train:dataroot_gt is nowhere, which does not exist'),
        ('datasets:train:meta_info_file=nowhere.txt', 'datasets:train:meta_info_file is nowhere.txt'),
        ('path:pretrain_network_g=nowhere.pth', 'path:pretrain_network_g is nowhere.pth'),
        ('path:resume_state=nowhere.state', 'path:resume_state is nowhere.state'),
        ('network_g={type: GSMamba, upscale: 2, spynet_path: nowhere.pth}', 'network_g:spynet_path is nowhere.pth'),
        (
            'network_g={type: GSMamba, upscale: 2, spynet_path: nowhere.pth}',
            'or get it by basicsr weights get spynet (or spynet-of-basicvsr), which puts it into experiments',
        ),
        ('path:pretrain_network_g=a/BasicVSR_REDS4-543c8261.pth', 'or get it by basicsr weights get basicvsr-reds, '),
    ],
)
def test_a_missing_path_is_refused(project, options, forced, expected):
    register_all()
    with pytest.raises(UserError) as error:
        prepare(project, options, forced)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    'path',
    [
        *[
            'name',
            'num_gpu',
            'model_type',
            'datasets',
            'logger',
            'train:total_iter',
            'train:optim_g:type',
            'val:val_freq',
        ],
        *['datasets:train:batch_size_per_gpu', 'datasets:val:name', 'logger:print_freq', 'network_g:type'],
        *[
            'datasets:train:io_backend',
            'datasets:train:test_mode',
            'datasets:train:use_hflip',
            'datasets:val:cache_data',
        ],
        *['val:metrics:psnr:crop_border', 'train:scheduler:milestones'],
    ],
)
def test_what_basicsr_needs_must_be_there(project, options, path):
    *sections, key = path.split(':')
    section = options
    for name in sections:
        section = section[name]
    del section[key]
    with pytest.raises(UserError, match=f'{key}(:print_freq)? is missing|lacks {key}'):
        prepare(project, options)


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('logger:print_freq=0', 'logger:print_freq is 0; it must be a number above 0'),
        ('train:total_iter=many', "train:total_iter is 'many'"),
        ('scale=1.5', 'scale is 1.5; it must be a whole number from 1 up'),
        ('datasets:train:num_frame=two', "datasets:train:num_frame is 'two'"),
        ('datasets:train:interval_list=[]', 'datasets:train:interval_list is []'),
        ('datasets:train:num_worker_per_gpu=-1', 'num_worker_per_gpu is -1'),
        ('datasets:train:prefetch_mode=gpu', "prefetch_mode is 'gpu'"),
        ('datasets:train:prefetch_mode=cuda', 'needs pin_memory'),
        ('num_gpu=two', "num_gpu is 'two'"),
        ('train:scheduler={type: CosineAnnealingRestartLR, periods: [1]}', 'add up to 1, less than the 2'),
        ('train=3', 'train is 3; it must be a section'),
        ('val:metrics=psnr', "val:metrics is 'psnr'; it must be a section"),
        ('datasets:val:io_backend=disk', "datasets:val:io_backend is 'disk'; it must be a section"),
        ('name=..', "name is '..'; it becomes the name of a folder"),
        ('name=""', "name is ''; it becomes the name of a folder"),
        (f'name={"n" * 201}', 'too long for the name of a folder; shorten it'),
        ('train:ema_decay=1', 'train:ema_decay is 1; it must be 0, for no average, or a number below 1'),
        ('train:ema_decay=1.5', 'train:ema_decay is 1.5; it must be 0'),
        ('train:ema_decay=-0.1', 'train:ema_decay is -0.1; it must be 0'),
        ('name=a/b', "name is 'a/b'; it becomes the name of a folder"),
        ('logger:wandb={project: x}', 'logger:wandb needs use_tb_logger: true'),
        ('datasets:test={}', 'datasets:test is no data set of training'),
    ],
)
def test_a_value_that_would_stop_a_run_later_is_refused(project, options, forced, expected):
    with pytest.raises(UserError) as error:
        prepare(project, options, forced)
    assert expected in str(error.value)


GSM = '{type: GSMamba, prop_depth: 2, embed_dims: 16, num_heads: 2'
EDVR = '{type: EDVR, num_feat: 8, num_frame: 5, deformable_groups: 2, hr_in: true}'


@pytest.mark.parametrize(
    'forced, expected',
    [
        ([f'network_g={GSM}, upscale: 4}}'], 'scale is 2, but network_g:upscale is 4; set both to the same.'),
        ([f'network_g={GSM}}}'], 'scale is 2, but network_g:upscale is 4 (the default of GSMamba); set both'),
        (['network_g={type: RRDBNet, num_in_ch: 3, num_out_ch: 3}'], 'network_g:scale is 4 (the default of RRDBNet)'),
        (['network_g={type: IconVSR}'], 'scale is 2, but network_g:type IconVSR enlarges by 4; set scale: 4, or take'),
        ([f'network_g={EDVR}'], 'scale is 2, but network_g:type EDVR enlarges by 1'),
        ([f'network_g={EDVR}', 'scale=1'], 'datasets:train:num_frame is 2, but network_g:num_frame is 5; set both'),
        (
            [f'network_g={GSM}, upscale: 2}}', 'model_type=GSMModel', 'val:window=3'],
            'val:window is 3, but GSMamba takes',
        ),
        (['datasets:train:gt_size=15'], 'datasets:train:gt_size is 15, no multiple of scale 2'),
        (['model_type=GSMModel', 'train:accumulate_iter=3'], 'accumulate_iter is 3, but train:total_iter is 2, so no'),
        (['train:warmup_iter=3'], 'warmup_iter is 3, but train:total_iter is 2, so the learning rate would never'),
        (['datasets:val_2={name: REDS4, type: VideoRecurrentTestDataset}'], 'are both called REDS4; give them names'),
        (
            ['train:scheduler={type: MultiStepLR, milestones: [1], restarts: [0, 1]}'],
            'not as many restart_weights as re',
        ),
        (
            ['train:scheduler={type: CosineAnnealingRestartLR, periods: [2, 0], restart_weights: [1, 1]}'],
            'periods is [2, 0]; each period needs an iteration at least',
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused_with_both(project, options, forced, expected):
    register_all()
    with pytest.raises(UserError) as error:
        prepare(project, options, *forced)
    assert expected in str(error.value)


@pytest.mark.parametrize('key', [1, True, 2.5])
def test_a_key_that_yaml_takes_for_something_else_is_named_as_it_is_written(project, options, key):
    options['train'][key] = 2
    with pytest.raises(UserError, match=f'Nothing reads the key train:{str(key).lower()}; did you mean train:'):
        prepare(project, options)


@pytest.mark.parametrize('written', ['no', '1e6', '2024-01-01', '0x1F', '1_000', '5.50', '1:30', 'on', '007', 'True'])
def test_an_experiment_is_called_as_it_is_written(project, options, written):
    path = tiny_project.write_options(project / 'options.yml', options)
    path.write_text(path.read_text().replace('name: tiny\n', f'name: {written}\n'))
    arguments = argparse.Namespace(opt=str(path), force_yml=None, launcher='none', auto_resume=False, debug=False)
    actual = prepare_options(arguments, str(project), True)
    assert actual['path']['experiments_root'] == str(project / 'experiments' / written)
    actual = prepare(project, options, f'name={written}', f'datasets:train:name={written}')
    assert (actual['name'], actual['datasets']['train']['name']) == (written, written)


@pytest.mark.parametrize('written', ['~', 'null', ''])
def test_an_empty_name_is_refused(project, options, written):
    with pytest.raises(UserError, match=r'name is empty .* in quotes .*; set it: name of the run'):
        prepare(project, options, f'name={written}')


def test_a_text_that_is_none_is_to_be_put_in_quotes(project, options):
    with pytest.raises(UserError, match='pixel_opt:reduction is False; it must be a text; put it in quotes'):
        prepare(project, options, 'train:pixel_opt:reduction=no')


def test_a_network_that_takes_any_keyword_is_not_checked(project, options):
    from basicsr.utils.registry import ARCH_REGISTRY
    from torch import nn

    class KeywordNet(nn.Module):
        def __init__(self, **kwargs):
            super().__init__()

    if 'KeywordNet' not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(KeywordNet)
    options['network_g'] = {'type': 'KeywordNet', 'anything': 1}
    prepare(project, options)


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


def test_debug_gives_a_name_of_its_own_and_short_intervals(project, options):
    file = tiny_project.write_options(project / 'options.yml', options)
    arguments = argparse.Namespace(opt=str(file), force_yml=None, launcher='none', auto_resume=False, debug=True)
    actual = prepare_options(arguments, str(project), True)
    assert (actual['name'], actual['val']['val_freq'], actual['logger']['print_freq']) == ('debug_tiny', 8, 1)


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('manual_seed=[0]', 'manual_seed is [0]; it must be a whole number from 0 to 4294000000.'),
        ('manual_seed=-1', 'manual_seed is -1; it must be a whole number from 0'),
        ('datasets:train:dataroot_lq=[]', 'datasets:train:dataroot_lq is []; it must be a text.'),
        ('datasets:val:io_backend:type=[disk]', "datasets:val:io_backend:type is ['disk']; it must be a text."),
        ('datasets:train:use_hflip=1', 'datasets:train:use_hflip is 1; it must be true or false.'),
        ('datasets:train:num_frame=-1', 'datasets:train:num_frame is -1; it must be a whole number from 1 up.'),
        ('datasets:train:on_bad_sample=ignore', "datasets:train:on_bad_sample is 'ignore'; it must be raise or skip."),
        ('train:optim_g:lr=fast', "train:optim_g:lr is 'fast'; it must be a number."),
        ('train:optim_g:betas=[x]', "train:optim_g:betas is ['x']; it must be a list of numbers."),
        ('network_g:width=[4]', 'network_g:width is [4]; it must be a number.'),
        ('train:pixel_opt=~', 'train has neither pixel_opt nor perceptual_opt; a training needs a loss.'),
    ],
)
def test_values_of_the_wrong_kind_are_refused(project, options, forced, expected):
    with pytest.raises(UserError) as error:
        prepare(project, options, forced)
    assert str(error.value).startswith(expected)


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('network_g:prop_depth=[2]', 'network_g:prop_depth is [2]; it must be a whole number.'),
        ('network_g:window_size=8', 'network_g:window_size is 8; it must be a list.'),
        ('network_g:spynet_path=[3]', 'network_g:spynet_path is [3]; it must be a text.'),
        ('network_g:anchor=3', 'network_g:anchor is 3; it must be a text.'),
        ('network_g:use_checkpoint_attn=ja', "network_g:use_checkpoint_attn is 'ja'; it must be true or false."),
    ],
)
def test_arguments_are_of_the_kind_that_their_annotation_says(project, options, forced, expected):
    register_all()
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'GSMamba'}}
    with pytest.raises(UserError) as error:
        prepare(project, options, forced)
    assert str(error.value) == expected


def test_a_sequence_is_a_list(project, options):
    register_all()
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'VRT'}}
    with pytest.raises(UserError, match=r'network_g:depths is 8; it must be a list\.'):
        prepare(project, options, 'network_g:depths=8')


@pytest.mark.parametrize('key', ['network_g', 'optim_g', 'scheduler'])
def test_a_part_that_a_training_needs_is_missed(project, options, key):
    del (options if key == 'network_g' else options['train'])[key]
    with pytest.raises(UserError, match=f'{key} is missing; give it '):
        prepare(project, options)


def test_a_pattern_that_freezes_nothing_is_refused_before_anything_is_made(project, options):
    register_all()
    sizes = {'upscale': 2, 'prop_depth': 2, 'attn_depth': 0, 'embed_dims': 4, 'num_heads': 1}
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'GSMamba', **sizes}}
    with pytest.raises(UserError, match=r"'spynet', which fits no parameter of GSMamba; did you mean 'spynet\.\*'"):
        prepare(project, options, 'train:freeze=[spynet]')
    assert not (project / 'experiments').exists()


def test_the_home_folder_is_expanded(project, options, monkeypatch):
    monkeypatch.setenv('HOME', str(project))
    actual = prepare(project, options, 'datasets:val:dataroot_gt=~/data/test/GT')
    assert actual['datasets']['val']['dataroot_gt'] == f'{project}/data/test/GT'


PUBLISHED_TRAINING_KEYS = """
use_static_graph: true
find_unused_parameters: false
datasets:
  train: {use_shuffle: true, interval_list: [1], random_reverse: false, dataset_enlarge_ratio: 1, prefetch_mode: ~}
train: {ema_decay: 0.999, warmup_iter: -1, fix_flow: 5000, flow_lr_mul: 0.125}
val: {val_freq: !!float 5e10, suffix: ~, pbar: false}
dist_params: {backend: nccl, port: 29500}
"""


def test_keys_of_published_option_files_that_nothing_reads_are_ignored_aloud(project, options, capsys):
    for key, value in yaml.safe_load(PUBLISHED_TRAINING_KEYS).items():
        if key == 'datasets':
            options['datasets']['train'] |= value['train']
        elif isinstance(value, dict):
            options[key] = {**options.get(key, {}), **value}
        else:
            options[key] = value
    prepare(project, options)
    out = capsys.readouterr().out
    for path in ('use_static_graph', 'datasets:train:use_shuffle', 'val:suffix', 'val:pbar'):
        assert out.count(f'{path} is ignored') == 1
    assert out.count('is ignored') == 4


def test_a_least_rate_above_the_rate_is_refused(project, options):
    schedule = 'train:scheduler={type: CosineAnnealingRestartLR, periods: [2], restart_weights: [1], eta_min: 1.0}'
    with pytest.raises(UserError, match=r'train:scheduler:eta_min is 1\.0, but train:optim_g:lr is 0\.0002'):
        prepare(project, options, schedule)


@pytest.mark.parametrize('name', ['-x', '.5', 'a/b'])
def test_a_name_that_can_be_no_folder_is_told_how_to_begin(project, options, name):
    with pytest.raises(UserError, match='begin with a letter, a digit or _, without slashes'):
        prepare(project, {**options, 'name': name})
