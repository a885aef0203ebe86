"""The table of the keys of BasicSR's classes is what its source says."""

import sys
from pathlib import Path

import pytest

from gsm_plugin.options.host import TABLE, host_keys

sys.path.insert(0, str(Path(__file__).parents[2] / 'scripts'))
from host_keys.source_scan import BELOW, scan_class
from make_host_keys import host_table


class Model:
    def __init__(self, opt):
        self.opt = opt
        train = opt['train']
        self.rate = train.get('rate', 1)
        self.section = self.opt['section']
        if 'flag' in opt:
            opt['written'] = opt.pop('popped')

    def replaced(self):
        return self.opt['only_in_base']

    def extended(self):
        return self.opt['base_part']

    def loop(self):
        for name, one in self.opt['many'].items():
            print(name, one['inner'])
        return [other['second'] for other in self.opt['many'].values()]

    def dynamic(self, name):
        return self.opt['path'][f'pretrain_{name}']


class Child(Model):
    def replaced(self):
        return self.section['deep']

    def extended(self):
        return super().extended() + self.opt['child_part']


class Opaque:
    def __init__(self, opt):
        self.settings = dict(opt)


@pytest.mark.parametrize(
    'path',
    [
        *['train', 'train:rate', 'flag', 'popped', 'section:deep', 'base_part', 'child_part', 'many:*:inner'],
        *['many:*:second', 'path:pretrain_*'],
    ],
)
def test_reads_are_found(path):
    assert tuple(path.split(':')) in scan_class(Child)


@pytest.mark.parametrize('key', ['only_in_base', 'written', 'rate'])
def test_what_is_not_read_is_not_found(key):
    assert (key,) not in scan_class(Child)


def test_nothing_is_told_about_a_class_that_hands_its_options_on():
    assert (BELOW,) in scan_class(Opaque)


def test_nothing_is_told_about_a_class_without_source():
    made = type('Made', (), {'__init__': lambda self, opt: None, '__module__': 'nowhere'})
    assert scan_class(made) == {(BELOW,)}


def test_the_table_is_what_the_installed_basicsr_reads():
    assert TABLE.read_text(encoding='utf-8') == host_table(), 'run python scripts/make_host_keys.py'


def test_basicsr_reads_what_its_documentation_says_and_not_what_it_says_is_unused():
    recurrent = host_keys('VideoRecurrentTestDataset')
    assert {('cache_data',), ('num_frame',), ('meta_info_file',)} <= recurrent
    assert ('padding',) not in recurrent
    model = host_keys('VideoRecurrentModel')
    assert {('val', 'flip_seq'), ('train', 'fix_flow'), ('path', 'strict_load_g')} <= model
    assert ('val', 'suffix') not in model
    assert host_keys('NobodysModel') == frozenset()
