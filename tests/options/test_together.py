"""What options need of each other, and values that would stop a run later."""

import argparse

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.preparing import prepare_options
from gsm_plugin.registration import register_all
from tests import tiny_project
from tests.options.preparing import prepare


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
        ('train:optim_g:lr=-1e-4', 'train:optim_g:lr is -0.0001; it must be a number above 0'),
        ('train:optim_g:betas=[0.9]', 'train:optim_g:betas is [0.9]; it must be a list of two numbers from 0 to 1'),
        ('train:optim_g:betas=[0.9, 2]', 'train:optim_g:betas is [0.9, 2]; it must be a list of two numbers'),
        ('train:pixel_opt:reduction=avg', "train:pixel_opt:reduction is 'avg'; set mean or sum"),
        ('val:metrics:psnr:type=calculate_ssim_pt', 'psnr:type is calculate_ssim_pt, which takes tensors, but images'),
        ('val:metrics:psnr:input_order=CHW', "val:metrics:psnr:input_order is 'CHW', but frames are scored as HWC"),
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


@pytest.mark.parametrize('key', ['network_g', 'optim_g', 'scheduler'])
def test_a_part_that_a_training_needs_is_missed(project, options, key):
    del (options if key == 'network_g' else options['train'])[key]
    with pytest.raises(UserError, match=f'{key} is missing; give it '):
        prepare(project, options)


def test_a_least_rate_above_the_rate_is_refused(project, options):
    schedule = 'train:scheduler={type: CosineAnnealingRestartLR, periods: [2], restart_weights: [1], eta_min: 1.0}'
    with pytest.raises(UserError, match=r'train:scheduler:eta_min is 1\.0, but train:optim_g:lr is 0\.0002'):
        prepare(project, options, schedule)


@pytest.mark.parametrize('name', ['-x', '.5', 'a/b'])
def test_a_name_that_can_be_no_folder_is_told_how_to_begin(project, options, name):
    with pytest.raises(UserError, match='begin with a letter, a digit or _, without slashes'):
        prepare(project, {**options, 'name': name})


def folders_set(name, with_gt):
    kinds = ('gt', 'lq') if with_gt else ('lq',)
    roots = {f'dataroot_{kind}': f'data/test/{kind.upper()}' for kind in kinds}
    return {'name': name, 'type': 'VideoFoldersDataset', **roots}


@pytest.mark.parametrize(
    'with_gt, forced, expected',
    [
        ([False], (), 'set its dataroot_gt, or take them out'),
        ([False], ('val:save_img=true',), 'set its dataroot_gt, or take them out'),
        ([True, False], (), 'set its dataroot_gt, or take the set out, or set val:save_img: true to see it'),
    ],
)
def test_a_set_that_could_not_be_scored_is_told_before_training(project, options, with_gt, forced, expected):
    for number, has_gt in enumerate(with_gt):
        options['datasets'][f'val_{number}' if number else 'val'] = folders_set(f'set{number}', has_gt)
    key = 'val_1' if with_gt[0] else 'val'
    start = rf'datasets:{key} has no ground truth, which val:metrics \(psnr\) needs; '
    with pytest.raises(UserError, match=start + expected):
        prepare(project, options, *forced)


def test_a_set_whose_images_are_looked_at_needs_no_ground_truth(project, options):
    options['datasets'] |= {'val': folders_set('scored', True), 'val_wild': folders_set('wild', False)}
    prepare(project, options, 'val:save_img=true')
    prepare(project, options | {'model_type': 'GSMModel'}, 'logger:sample_pictures=true')
    del options['datasets']['val'], options['val']['metrics']
    prepare(project, options)


def test_a_single_image_set_is_not_scored_either(project, options):
    images = {
        'name': 'single',
        'type': 'SingleImageDataset',
        'dataroot_lq': 'data/test/LQ/a',
        'io_backend': {'type': 'disk'},
    }
    options['datasets']['val'] = images
    with pytest.raises(UserError, match=r'val:metrics \(psnr\) needs; take type PairedImageDataset, or take them out'):
        prepare(project, options)
