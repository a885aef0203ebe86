"""Names of weights in option files, and what is said of those that are not there."""

import re

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.options.paths import check_paths, expand_paths
from gsm_plugin.registration import register_all
from gsm_plugin.weights.known_files import SHIPPED


@pytest.fixture(autouse=True)
def registered():
    register_all()


def options_of(weights, spynet_path=None):
    return {
        'model_type': 'GSMModel',
        'network_g': {'type': 'GSMamba', 'spynet_path': spynet_path},
        'path': {'pretrain_network_g': weights},
        'datasets': {},
    }


def expanded(*arguments):
    options = options_of(*arguments)
    expand_paths(options)
    return options


def test_names_of_weights_are_paths_in_option_files():
    assert expanded('gsm-small-x4')['path']['pretrain_network_g'] == str(SHIPPED / 'gsm_small_x4.safetensors')
    check_paths(expanded('gsm-small-x4', 'gsm-small-x4'), resumes=False)


@pytest.mark.parametrize(
    'key, expected',
    [
        ('dataroot_gt', 'put the data there (docs/data.md says how), or correct the path.'),
        ('meta_info_file', 'write the list by basicsr data meta, or correct the path.'),
    ],
)
def test_data_that_is_not_there_has_a_cure(tmp_path, key, expected):
    section = {'type': 'VideoFoldersDataset', 'dataroot_lq': str(tmp_path), key: 'nowhere'}
    with pytest.raises(UserError) as caught:
        check_paths({**options_of(None), 'datasets': {'train': section}}, resumes=False)
    assert str(caught.value).endswith(expected)


def test_a_file_of_that_name_goes_before_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'gsm-small-x4').touch()
    assert expanded('gsm-small-x4')['path']['pretrain_network_g'] == 'gsm-small-x4'


@pytest.mark.parametrize(
    'arguments, expected',
    [
        (('gsm-smal-x4',), 'or a name of basicsr weights list; did you mean gsm-small-x4?'),
        (('there/gsm-small-x4',), 'correct the path.'),
        ((None, 'gsm_small_x4'), 'or a name of basicsr weights list; did you mean gsm-small-x4?'),
        ((None, 'flows.pth'), 'or get it by basicsr weights get spynet (or spynet-of-basicvsr), which puts it into'),
        (
            ('experiments/train_gsm_demo/models/net_g_latest.pth',),
            'the training train_gsm_demo writes it (make demo): run that first, or correct the path.',
        ),
        (('experiments/mine/models/net_g_9.pth',), 'the training mine writes it: run that first, or correct the path.'),
        (('gsm-reds',), 'or get it by basicsr weights get gsm-reds, which puts it into'),
        ((None, 'spynet-of-basicvsr'), 'or get it by basicsr weights get spynet-of-basicvsr, which puts it into'),
    ],
)
def test_weights_that_are_not_there_have_a_cure(arguments, expected):
    with pytest.raises(UserError) as caught:
        check_paths(expanded(*arguments), resumes=False)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    'weights, expected',
    [
        ('basicvsr-reds', 'is basicvsr-reds, weights of BasicVSR, but network_g is GSMamba; give weights of GSMamba '
         '(in basicsr weights list: gsm-small-x4, gsm-small-x4-video, gsm-reds), or make network_g BasicVSR.'),
        ('edvr-m-reds', 'is edvr-m-reds, weights of EDVR, but network_g is GSMamba; '),
        ('spynet', 'or name these as network_g: spynet_path.'),
    ],
)  # fmt: skip
def test_weights_of_another_network_are_named_before_they_are_got(weights, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = expanded(weights)
    with pytest.raises(UserError, match=re.escape(expected)):
        check_paths(options, resumes=False)
    check_paths(options, resumes=True)
    options['path']['strict_load_g'] = False
    with pytest.raises(UserError, match='which does not exist in'):
        check_paths(options, resumes=False)
    options['network_g'] = {'type': 'MyGSM'}
    with pytest.raises(UserError, match='which does not exist in'):
        check_paths(options | {'path': {'pretrain_network_g': 'gsmamba_reds_x4.pth'}}, resumes=False)
