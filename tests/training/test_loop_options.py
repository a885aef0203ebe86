import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.options.known_keys import loop_keys
from gsm_plugin.options.reading import force_options
from gsm_plugin.registration import register_all
from gsm_plugin.training.loop_options import LoopOptions
from tests import tiny_project

pytestmark = pytest.mark.usefixtures('project')

LOOP_KEYS = set(map(':'.join, loop_keys()))
KNOWN = [
    *('deterministic=true', 'train:max_hours=1.5', 'train:on_divergence=rollback', 'logger:keep_last=2'),
    *('logger:keep_every=100', 'logger:save_best=psnr', 'logger:sample_pictures=true'),
]


@pytest.fixture
def options(options):
    register_all()
    return options | {'model_type': 'GSMModel'}


def check(options, *forced, is_train=True):
    force_options(options, forced)
    return check_option_file(options, is_train)


def test_every_key_is_known(options):
    assert check(options, *KNOWN) == []
    assert {entry.split('=')[0] for entry in KNOWN} == LOOP_KEYS
    read = LoopOptions.read(options)
    assert (read.run.deterministic, read.train.max_hours, read.train.on_divergence) == (True, 1.5, 'rollback')
    assert (read.keeping.keep_last, read.keeping.keep_every, read.keeping.save_best) == (2, 100, 'psnr')


def test_without_them_all_is_as_in_basicsr(options):
    check(options, *[f'{key}=~' for key in LOOP_KEYS])
    read = LoopOptions.read(options)
    assert (read.run.deterministic, read.train.max_hours, read.train.on_divergence) == (False, None, 'stop')
    assert (read.keeping.keep_last, read.keeping.keep_every, read.keeping.save_best) == (None, None, None)


@pytest.mark.parametrize('forced', ['train:on_divergence=rollback', 'logger:sample_pictures=true'])
def test_what_a_model_cannot_do_is_not_known_for_it(options, forced):
    options['model_type'] = 'VideoRecurrentModel'
    check(options, 'train:max_hours=1')
    with pytest.raises(UserError, match=f'Nothing reads the key {forced.split("=")[0]}'):
        check(options, forced)


def test_a_test_reads_none_of_them():
    with pytest.raises(UserError, match='Nothing reads the key deterministic'):
        check(tiny_project.test_options('x.pth'), 'deterministic=true', is_train=False)


@pytest.mark.parametrize(
    'forced, expected',
    [
        ('train:max_hours=0', 'train:max_hours is 0; it must be a number of hours above 0, or ~ for none'),
        ('train:max_hours=long', "train:max_hours is 'long'"),
        ('logger:keep_last=0', 'logger:keep_last is 0; it must be a whole number from 1 up'),
        ('logger:keep_last=true', 'logger:keep_last is True'),
        ('logger:keep_every=1.5', 'logger:keep_every is 1.5'),
        ('train:on_divergence=cry', "train:on_divergence is 'cry'; it must be stop or rollback"),
        ('logger:sample_pictures=2', 'logger:sample_pictures is 2; it must be true or false'),
        ('deterministic=maybe', "deterministic is 'maybe'; it must be true or false"),
        ('logger:save_best=ssim', "logger:save_best is 'ssim', which val:metrics does not have; set one of psnr"),
        ('logger:save_best=[1]', r'logger:save_best is \[1\]; it must be a text'),
    ],
)
def test_wrong_values_are_refused_before_anything_is_built(options, forced, expected):
    with pytest.raises(UserError, match=expected):
        check(options, forced)


def test_the_best_needs_a_validation_set_and_a_metric(options):
    options['logger']['save_best'] = 'psnr'
    options['datasets'].pop('val')
    with pytest.raises(UserError, match='save_best needs a validation set; add datasets:val'):
        check(options)
    options['val'].pop('metrics')
    with pytest.raises(UserError, match='val:metrics does not have; set a metric, and add it to val:metrics'):
        check(options)
