"""Keys, names and values of option files, each by itself."""

import pytest
import yaml

from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all
from tests.options.preparing import prepare


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
        ('path:pretrain_network_g=https://x.org/a.pth', 'files are not fetched: download it, and give its path.'),
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


@pytest.mark.parametrize('key', [1, True, 2.5])
def test_a_key_that_yaml_takes_for_something_else_is_named_as_it_is_written(project, options, key):
    options['train'][key] = 2
    with pytest.raises(UserError, match=f'Nothing reads the key train:{str(key).lower()}; did you mean train:'):
        prepare(project, options)


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
        ('train:optim_g:lr=fast', "train:optim_g:lr is 'fast'; it must be a number above 0."),
        ('train:optim_g:lr=0', 'train:optim_g:lr is 0; it must be a number above 0.'),
        (
            'train:optim_g:betas=[x]',
            "train:optim_g:betas is ['x']; it must be a list of two numbers from 0 to 1, such as [0.9, 0.99].",
        ),
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


def test_a_pattern_that_freezes_nothing_is_refused_before_anything_is_made(project, options):
    register_all()
    sizes = {'upscale': 2, 'prop_depth': 2, 'attn_depth': 0, 'embed_dims': 4, 'num_heads': 1}
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'GSMamba', **sizes}}
    with pytest.raises(UserError, match=r"'spynet', which fits no parameter of GSMamba; did you mean 'spynet\.\*'"):
        prepare(project, options, 'train:freeze=[spynet]')
    assert not (project / 'experiments').exists()


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


def test_a_study_is_no_training(project, options):
    options |= {'variants': {'base': None}, 'options': 'train.yml'}
    with pytest.raises(UserError, match='describes a study, and no training or test; give it to basicsr study'):
        prepare(project, options)
