import re
from pathlib import Path
from typing import get_args

import pytest
import torch

import gsm_plugin.models
from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import PRECISIONS
from gsm_plugin.inference.handling import TILE_OVERLAP
from gsm_plugin.layers.precision import is_plain
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.options.declared.sections import keys_of
from gsm_plugin.options.declared.train_section import Precision, Train
from gsm_plugin.options.declared.val_section import Val
from gsm_plugin.options.known_keys import keys_read_by
from tests.models.tiny import folders_set, loader_of, make_batch, make_options, write_clip

WHOLE = 'it must be a whole number from'

WRONG = [
    ({'train': {'precision': 'fp17'}}, "precision is 'fp17'; it must be one of fp32, tf32, bf16, fp16"),
    ({'train': {'precision': 'fp16'}}, 'precision is fp16, which needs a GPU; set bf16 or fp32'),
    ({'train': {'precision': 'tf32'}}, 'precision is tf32, which needs a GPU; set bf16 or fp32'),
    ({'val': {'precision': 'half'}}, "val:precision is 'half'; it must be one of fp32, tf32, bf16, fp16"),
    ({'val': {'precision': ['bf16']}}, r"val:precision is \['bf16'\]; it must be one of"),
    ({'val': {'precision': 'fp16'}}, 'val:precision is fp16, which needs a GPU; set bf16 or fp32'),
    ({'train': {'plain_autocast': True}}, 'train:plain_autocast is true, but precision is fp32, which has no autocast'),
    (
        {'val': {'plain_autocast': True}, 'train': {'precision': 'bf16'}},
        'val:plain_autocast is true, but precision is fp32, .* set precision to bf16 or fp16',
    ),
    ({'train': {'accumulate_iter': 0}}, f'accumulate_iter is 0; {WHOLE} 1 up'),
    ({'train': {'accumulate_iter': 1.5}}, f'accumulate_iter is 1.5; {WHOLE} 1 up'),
    ({'train': {'max_skipped_steps': 0}}, f'max_skipped_steps is 0; {WHOLE} 1 up'),
    ({'train': {'fix_flow': -1}}, f'fix_flow is -1; {WHOLE} 0 up'),
    ({'train': {'fix_flow': True}}, f'fix_flow is True; {WHOLE} 0 up'),
    ({'train': {'grad_clip_norm': -1}}, 'grad_clip_norm is -1; it must be a number above 0'),
    ({'train': {'grad_clip_norm': 0}}, 'grad_clip_norm is 0; it must be a number above 0'),
    ({'train': {'grad_clip_norm': 'a'}}, "grad_clip_norm is 'a'; it must be a number above 0"),
    ({'val': {'use_ema': 'yes'}}, "use_ema is 'yes'; it must be true or false"),
    ({'val': {'flip_seq': 1}}, 'flip_seq is 1; it must be true or false'),
    ({'val': {'tile': [100, 144]}}, r'val:tile is \[100, 144\]; it must be three whole numbers'),
    ({'val': {'tile': [0, 144, 144]}}, r'val:tile is \[0, 144, 144\]; it must be'),
    ({'val': {'tile': [9, 40, 40]}}, 'val:tile has 40 rows, but tile_overlap is 50; make it less'),
    ({'val': {'tile': [9, 60, 60], 'tile_overlap': [9, 2, 2]}}, 'tile has 9 frames, but tile_overlap is 9'),
    ({'val': {'smallest_side': 0}}, f'val:smallest_side is 0; {WHOLE} 1 up'),
    ({'val': {'multiple_of': 2.5}}, f'val:multiple_of is 2.5; {WHOLE} 1 up'),
    ({'val': {'window': 4}}, 'val:window is 4; it must be an odd number of frames'),
    ({'val': {'tile_overlap': [2, 50, 50]}}, 'tile_overlap is .*, but there is no tile; set val:tile too'),
]


@pytest.mark.parametrize('changes, sentence', WRONG)
def test_a_wrong_value_is_one_sentence_before_anything_is_built(tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        GSMModel(make_options(tmp_path, network_g={'type': 'never built'}, **changes))


def test_padding_needs_the_scale(tmp_path):
    opt = make_options(tmp_path, is_train=False, val={'smallest_side': 64})
    del opt['scale']
    with pytest.raises(UserError, match='smallest_side and multiple_of need scale'):
        GSMModel(opt)


def test_tiles_need_the_scale(tmp_path):
    opt = make_options(tmp_path, val={'tile': [9, 60, 60]})
    del opt['scale']
    with pytest.raises(UserError, match='val:tile needs scale'):
        GSMModel(opt)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_gpu_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match='num_gpu is 1, but PyTorch finds no CUDA device; set num_gpu: 0'):
        GSMModel(make_options(tmp_path, num_gpu=1))


def test_mixed_precision_is_refused_where_threads_share_the_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(UserError, match='precision is bf16, which one process with 2 GPUs cannot do'):
        GSMModel(make_options(tmp_path, num_gpu=2, train={'precision': 'bf16'}))


def test_keys_that_are_there_but_empty_have_their_defaults(tmp_path):
    empty = {'grad_clip_norm': None, 'accumulate_iter': None, 'max_skipped_steps': None, 'fix_flow': None}
    model = GSMModel(make_options(tmp_path, train=empty, val={'tile': None, 'tile_overlap': [2, 50, 50]}))
    assert (model._train.accumulate_iter, model._train.max_skipped_steps, model._train.fix_flow) == (1, 20, 0)


def test_a_training_needs_no_validation(tmp_path):
    opt = make_options(tmp_path)
    del opt['val']
    model = GSMModel(opt)
    model.feed_data(make_batch())
    model.optimize_parameters(1)


class Recording(dict):
    """Notes which keys are read, with those of the sections around them."""

    def __init__(self, content, notes, path=()):
        super().__init__(
            (key, Recording(value, notes, (*path, key)) if isinstance(value, dict) else value)
            for key, value in content.items()
        )
        self.notes, self.path = notes, path

    def __deepcopy__(self, memo):
        return dict(dict.items(self))

    def note(self, key):
        self.notes.add(':'.join((*self.path, key)))

    def __getitem__(self, key):
        self.note(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.note(key)
        return super().__contains__(key)

    def get(self, key, default=None):
        self.note(key)
        return super().get(key, default)

    def pop(self, key, *default):
        self.note(key)
        return super().pop(key, *default)

    def setdefault(self, key, default=None):
        self.note(key)
        return super().setdefault(key, default)


# of the run, and what it sets itself
OF_THE_RUN = {'scale', 'is_train', 'dist', 'rank', 'world_size', 'logger:print_freq'} | {
    f'path:{key}' for key in ('models', 'training_states', 'visualization')
}


def unknown(notes):
    known = OF_THE_RUN | {':'.join(path) for path in keys_read_by(GSMModel)}
    inside = ('network_g', 'train:optim_g', 'train:scheduler', 'train:pixel_opt', 'val:metrics')
    return {key for key in notes - {'train', 'val', 'path', 'logger', *known} if not key.startswith(inside)}


@pytest.mark.parametrize('is_train', [True, False])
def test_every_key_that_the_model_reads_is_described(tmp_path, is_train):
    write_clip(tmp_path, 'a', 2)
    notes = set()
    model = GSMModel(Recording(make_options(tmp_path, is_train), notes))
    model.validation(loader_of(folders_set(tmp_path, 'set')), 1, None, save_img=True)
    if is_train:
        model.feed_data(make_batch())
        model.optimize_parameters(1)
        model.save(0, 1)
    assert unknown(notes) == set()
    assert {f'val:{key.name}' for key in keys_of(Val)} <= notes


@pytest.mark.parametrize('key', [*keys_of(Train), *keys_of(Val)], ids=lambda key: key.name)
def test_no_declared_key_does_nothing(key):
    sources = [path.read_text(encoding='utf-8') for path in Path(gsm_plugin.models.__path__[0]).glob('*.py')]
    assert any(re.search(rf"[.']{key.attribute}\b", source) for source in sources)


def test_what_is_declared_is_what_inference_knows():
    assert get_args(Precision) == PRECISIONS
    assert Val.read({}, '').tile_overlap == TILE_OVERLAP


@pytest.mark.parametrize(('precision', 'expected'), [(None, None), ('fp32', None), ('bf16', torch.bfloat16)])
def test_validation_is_in_its_own_precision(tmp_path, precision, expected):
    val = {} if precision is None else {'precision': precision}
    model = GSMModel(make_options(tmp_path, train={'precision': 'bf16'}, val=val))
    seen = []
    model.net_g_ema.register_forward_pre_hook(
        lambda *_: seen.append(torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else None)
    )
    output = model.restore(torch.rand(1, 2, 3, 6, 6))
    assert seen == [expected]
    assert output.dtype == torch.float32


@pytest.mark.parametrize('plain', [False, True])
def test_training_and_validation_are_by_autocast_alone_where_it_is_asked_for(tmp_path, plain):
    section = {'precision': 'bf16', 'plain_autocast': plain}
    model = GSMModel(make_options(tmp_path, train=section, val=section))
    seen = []
    for network in (model.net_g, model.net_g_ema):
        network.register_forward_pre_hook(lambda *_: seen.append(is_plain()))
    model.feed_data(make_batch())
    model.optimize_parameters(1)
    model.restore(torch.rand(1, 2, 3, 6, 6))
    assert seen == [plain, plain]
    assert model.output.dtype == torch.float32


@pytest.mark.parametrize('precision', PRECISIONS)
def test_the_loss_is_scaled_where_the_policy_says_so(tmp_path, monkeypatch, precision):
    # a CPU does not compute in all of them
    monkeypatch.setattr('gsm_plugin.models.model_options._check_precision', lambda *_: None)
    model = GSMModel(make_options(tmp_path, train={'precision': precision}))
    assert model._guard._scaler.is_enabled() == (precision == 'fp16')
