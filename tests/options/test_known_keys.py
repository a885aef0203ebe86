"""Which keys are known: those that classes declare, that BasicSR's read, or that a signature names."""

from typing import Annotated, ClassVar

import pytest
from basicsr.models.video_recurrent_model import VideoRecurrentModel
from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.kinds import Positive, about
from gsm_plugin.options.declared.sections import Section
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.options.known_keys import begins, keys_read_by, leads_below, tells_its_keys
from gsm_plugin.options.reading import force_options

pytestmark = pytest.mark.usefixtures('project')


class OwnTrain(Section, frozen=True):
    patience: Annotated[Positive, about('how long to wait')] = 3


class SilentModel(VideoRecurrentModel):
    pass


class OpenModel(VideoRecurrentModel):
    OPTIONS: ClassVar[dict] = {('train',): OwnTrain}


class SilentSet:
    def __init__(self, opt):
        self.opt = opt


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    models, sets = dict(MODEL_REGISTRY._obj_map), dict(DATASET_REGISTRY._obj_map)
    monkeypatch.setattr(MODEL_REGISTRY, '_obj_map', {**models, 'SilentModel': SilentModel, 'OpenModel': OpenModel})
    monkeypatch.setattr(DATASET_REGISTRY, '_obj_map', {**sets, 'SilentSet': SilentSet})


def check(options, *forced):
    force_options(options, forced)
    return check_option_file(options, is_train=True)


def test_a_pattern_begins_with_the_paths_on_the_way_to_it():
    assert begins(('many', '*', 'inner'), ('many', 'x'))
    assert begins(('path', 'pretrain_*'), ('path', 'pretrain_network_g'))
    assert not begins(('a', 'b'), ('a', 'c'))
    assert not begins(('a', 'b'), ('a', 'b', 'c'))
    assert leads_below(('a', 'b'), ('a',))
    assert not leads_below(('a', 'b'), ('a', 'b'))


def test_a_class_reads_what_it_and_its_bases_declare_and_what_the_table_says():
    assert ('train', 'ema_decay') in keys_read_by(SilentModel)
    assert keys_read_by(OpenModel) == keys_read_by(SilentModel) | {('train', 'patience')}
    assert keys_read_by(SilentSet) == set()
    assert [tells_its_keys(cls) for cls in (VideoRecurrentModel, OpenModel, SilentModel)] == [True, True, False]


def test_a_key_that_a_silent_class_may_read_is_told_with_the_nearest_known_one(options):
    notes = check(options, 'model_type=SilentModel', 'train:ema_decya=0.9')
    assert notes == [
        'train:ema_decya is read by SilentModel or by nothing, since that class does not declare its keys; the nearest '
        'known one is train:ema_decay.'
    ]


def test_common_keys_of_a_silent_data_set_are_taken_for_granted_and_checked(options):
    notes = check(options, 'datasets:train:type=SilentSet', 'datasets:train:my_own=1')
    assert [note.split(' or ')[0] for note in notes] == ['datasets:train:my_own is read by SilentSet']
    with pytest.raises(UserError, match='datasets:train:use_rot is 1; it must be true or false'):
        check(options, 'datasets:train:use_rot=1')


def test_arguments_of_a_network_are_checked_whatever_the_model_is(options):
    with pytest.raises(UserError, match=r'Nothing reads the key network_g:widht; did you mean network_g:width\?'):
        check(options, 'model_type=SilentModel', 'network_g:widht=4')


def test_a_class_that_declares_its_keys_is_checked_like_ours(options):
    assert check(options, 'model_type=OpenModel', 'train:patience=4') == []
    with pytest.raises(UserError, match=r'Nothing reads the key train:patiense; did you mean train:patience\?'):
        check(options, 'train:patiense=4')


def test_what_a_class_declares_is_checked_before_it_is_built(options):
    with pytest.raises(UserError, match='train:patience is 0; it must be a whole number from 1 up'):
        check(options, 'model_type=OpenModel', 'train:patience=0')
