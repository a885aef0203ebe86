from collections import Counter

import pytest

from gsm_plugin.data.mixed.mixed_dataset import MixedDataset
from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all
from tests.data.pictures import same, sample, write_clips, write_stills

register_all()


def options(tmp_path, **more):
    if not (tmp_path / 'clips').exists():
        write_stills(tmp_path / 'stills')
        write_clips(tmp_path / 'clips')
    return {
        'name': 'mix',
        'type': 'MixedDataset',
        'phase': 'train',
        'scale': 4,
        'num_frame': 2,
        'gt_size': 32,
        'use_rot': True,
        'degradation': {'kind': 'bi'},
        'parts': {
            'stills': {'type': 'PhotoClipsDataset', 'weight': 1, 'dataroot_stills': str(tmp_path / 'stills')},
            'clips': {'type': 'DegradedClipsDataset', 'weight': 3, 'dataroot_gt': str(tmp_path / 'clips')},
        },
        **more,
    }


def test_parts_are_drawn_by_their_weights(tmp_path):
    dataset = MixedDataset(options(tmp_path))
    assert len(dataset) == 2 + 18
    drawn = Counter(sample(dataset, place=place)['key'].split('/')[0][:5] for place in range(200))
    assert set(drawn) == {'still', 'a', 'b'}
    assert 30 <= drawn['still'] <= 70


def test_an_item_depends_on_the_seeds_of_the_sample_alone(tmp_path):
    dataset = MixedDataset(options(tmp_path))
    first = sample(dataset, 3, 4)
    sample(dataset, 3, 5)
    assert same(sample(dataset, 3, 4), first)


def test_a_part_with_lq_of_its_own_is_given_no_degradation(tmp_path):
    write_clips(tmp_path / 'pairs' / 'GT', size=(64, 64))
    write_clips(tmp_path / 'pairs' / 'LQ', size=(16, 16))
    roots = {f'dataroot_{kind}': str(tmp_path / 'pairs' / kind.upper()) for kind in ('gt', 'lq')}
    dataset = MixedDataset(options(tmp_path, parts={'pairs': {'type': 'VideoFoldersDataset', **roots}}))
    assert sample(dataset)['lq'].shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    'parts, words',
    [
        ({'x': {'type': 'REDSDataset'}}, "parts:x:type is 'REDSDataset'; parts can be DegradedClipsDataset, Photo"),
        ({'x': {'type': 'PhotoClipsDataset', 'weight': -1}}, 'parts:x:weight is -1; it must be a number'),
        ({'x': {'type': 'PhotoClipsDataset'}}, 'Dataset mix:x: dataroot_stills is missing; set it: folder'),
    ],
)
def test_wrong_parts_end_in_one_sentence(tmp_path, parts, words):
    with pytest.raises(UserError, match=words):
        MixedDataset(options(tmp_path, parts=parts))


def test_parts_of_no_weight_are_refused(tmp_path):
    made = options(tmp_path)
    for part in made['parts'].values():
        part['weight'] = 0
    with pytest.raises(UserError, match='all parts have weight 0'):
        MixedDataset(made)
