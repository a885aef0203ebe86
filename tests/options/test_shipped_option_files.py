"""Every shipped option file, and the published ones, have known keys and names only, and complete sections.

Their comments say what the declarations say, and editors know their keys.
"""

import functools
import json
import re
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml

import gsm_plugin
from gsm_plugin.options.catalogue import entries, fits
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.options.reading import OptionLoader, read_options
from gsm_plugin.options.schema import HEADER, schema_text

SCHEMA = Path(__file__).parents[2] / 'options' / 'schema.json'
FILES = sorted((Path(__file__).parents[2] / 'options').glob('t*_*.yml'))

SMALL = {
    'GSMamba': {'prop_depth': 2, 'attn_depth': 1, 'embed_dims': 8, 'num_heads': 2, 'spynet_path': None},
    'VRT': {'depths': [1] * 13, 'embed_dims': [24] * 13, 'num_heads': [2] * 13, 'spynet_path': None},
    'BasicVSR': {'num_feat': 8, 'num_block': 1},
    'IconVSR': {'num_feat': 16, 'num_block': 1},
    'BasicVSRPlusPlus': {'mid_channels': 16, 'num_blocks': 1},
    'EDVR': {'num_feat': 16, 'num_extract_block': 1, 'num_reconstruct_block': 1},
    'Bicubic': {},
}

# The keys and values of the published REDS recipe, without its paths.
PUBLISHED = """
name: published
model_type: RecurrentMixPrecisionRTModel
scale: 4
num_gpu: 8
manual_seed: 0
find_unused_parameters: false
use_static_graph: true
datasets:
  train: {name: REDS, type: REDSRecurrentDataset, dataroot_gt: a, dataroot_lq: b, meta_info_file: c,
    val_partition: REDS4, test_mode: False, io_backend: {type: disk}, num_frame: 16, gt_size: 256, interval_list: [1],
    random_reverse: false, use_hflip: true, use_rot: true, use_shuffle: true, num_worker_per_gpu: 6,
    batch_size_per_gpu: 1, dataset_enlarge_ratio: 1, prefetch_mode: ~}
  val: {name: REDS4, type: VideoRecurrentTestDataset, dataroot_gt: a, dataroot_lq: b, cache_data: true,
    io_backend: {type: disk}, num_frame: -1}
network_g: {type: GSMamba, upscale: 4, prop_depth: 4, attn_depth: 4, pa_frame: 2, embed_dims: 192, num_heads: 8,
  use_checkpoint_attn: True, spynet_path: d}
path: {pretrain_network_g: ~, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  grad_clip_norm: 1.0
  optim_g: {type: Adam, lr: !!float 2e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: CosineAnnealingRestartLR, periods: [600000], restart_weights: [1], eta_min: !!float 1e-7}
  total_iter: 600000
  warmup_iter: -1
  fix_flow: 5000
  flow_lr_mul: 0.125
  pixel_opt: {type: CharbonnierLoss, loss_weight: 1.0, reduction: mean}
val: {val_freq: !!float 5e10, save_img: false,
  metrics: {psnr: {type: calculate_psnr, crop_border: 0, test_y_channel: false}}}
logger: {print_freq: 10, save_checkpoint_freq: !!float 1e3, use_tb_logger: true, wandb: {project: x, resume_id: ~}}
dist_params: {backend: nccl, port: 29500}
"""


@pytest.fixture(autouse=True)
def registered():
    gsm_plugin.register()


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_key_of_a_shipped_file_is_read(file):
    assert check_option_file(read_options(str(file)), file.stem.startswith('train')) == []


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_editors_find_nothing_wrong_in_a_shipped_file(file):
    assert file.read_text(encoding='utf-8').splitlines()[0] == HEADER
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding='utf-8')))
    assert [error.message for error in validator.iter_errors(read_options(str(file)))] == []


@pytest.mark.parametrize(
    'path, value',
    [
        ('name', None),
        ('num_gpu', -1),
        ('train:precision', 'fp17'),
        ('train:optim_g:lr', 'fast'),
        ('val:tile', [1, 2]),
        ('datasets:train:on_bad_sample', 'cry'),
        ('datasets:train:parts:stills:shift', [0, 101]),
        ('datasets:train:degradation:kind', 'bicubic'),
        ('datasets:train:degradation:codec:codecs', {'av1': 1}),
        ('datasets:train:degradation:codec:codecs', {'vp9': -1}),
        ('network_g:prop_depth', 'four'),
    ],
)
def test_editors_mark_a_wrong_value(path, value):
    options = read_options(str(FILES[0].parent / 'train_gsm_small_x4_video.yml'))
    *sections, key = path.split(':')
    functools.reduce(dict.__getitem__, sections, options)[key] = value
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding='utf-8')))
    assert not validator.is_valid(options)


@pytest.mark.parametrize(
    'section', ['train', 'val', 'path', 'logger', 'dist_params', 'logger:wandb', 'datasets:train:degradation:codec']
)
def test_editors_mark_a_misspelt_key(section):
    options = read_options(str(FILES[0].parent / 'train_gsm_small_x4_video.yml'))
    options |= {'dist_params': {'backend': 'nccl'}}
    options['logger']['wandb'] = {'project': 'x'}
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding='utf-8')))
    assert validator.is_valid(options)
    found = functools.reduce(dict.__getitem__, section.split(':'), options)
    found['prnit_freq'] = 10
    assert not validator.is_valid(options)


def test_editors_leave_keys_of_other_models_and_published_ones_alone():
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding='utf-8')))
    options = yaml.load(PUBLISHED, OptionLoader)
    assert validator.is_valid(options)
    options['model_type'] = 'VideoRecurrentGANModel'
    options['train'] |= {'net_d_iters': 1, 'lr_flow': 1e-5, 'gan_opt': {'type': 'GANLoss'}}
    assert validator.is_valid(options)
    options['train']['my_key'] = 1
    assert not validator.is_valid(options)
    options['model_type'] = 'MyModel'
    assert validator.is_valid(options)


def test_the_schema_is_that_of_the_declarations():
    expected = 'run basicsr options --schema > options/schema.json'
    assert SCHEMA.read_text(encoding='utf-8') == schema_text(), expected


def commented_keys(text):
    """The path of each key of an option file, and its comment."""
    path = []
    for line in text.splitlines():
        if found := re.match(r'( *)(\w+):(.*)', line):
            path = [*path[: len(found[1]) // 2], found[2]]
            yield ':'.join(path), found[3].partition('  # ')[2]


def test_the_file_that_explains_every_key_says_what_its_declaration_says():
    texts = {}
    for entry in entries():
        texts.setdefault(entry.path, []).append(entry.text)
    explained = set()
    for path, comment in commented_keys((FILES[0].parent / 'train_gsm_reds.yml').read_text(encoding='utf-8')):
        declared = [text for pattern, all_of_it in texts.items() if fits(pattern, path) for text in all_of_it if text]
        # a second data set or metric is not explained again
        key = re.sub(r'^datasets:\w+:|^val:metrics:\w+:', '', path)
        if declared and (comment or key not in explained):
            assert comment.startswith(tuple(declared)), f'{path}: the comment should begin with "{declared[0]}"'
            explained.add(key)
    assert len(explained) > 80


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_the_network_of_a_shipped_file_is_built_and_runs_at_a_small_size(file):
    from basicsr.archs import build_network

    from gsm_plugin.inference.fitting import pad_frames, slide_window

    opt = read_options(str(file))
    network = build_network({**opt['network_g'], **SMALL[opt['network_g']['type']]})
    val = opt.get('val') or {}
    run = slide_window(network, val['window']) if 'window' in val else network
    run = pad_frames(run, opt['scale'], val.get('smallest_side', 1), val.get('multiple_of', 1))
    with torch.no_grad():
        output = run(torch.rand(1, 5, 3, 8, 9))
    assert output.shape == (1, 5, 3, 8 * opt['scale'], 9 * opt['scale'])


def test_the_published_recipe_is_taken_as_it_is():
    notes = check_option_file(yaml.load(PUBLISHED, Loader=OptionLoader), True)
    ignored = {note.split(' ')[0] for note in notes}
    assert ignored <= {'use_static_graph', 'datasets:train:use_shuffle'}
