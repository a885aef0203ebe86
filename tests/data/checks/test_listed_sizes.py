"""Sizes in lists of clips are compared with the frames before a training or a test, whatever the data set is."""

import cv2
import numpy as np
import pytest

from gsm_plugin.data.checks import check_datasets
from gsm_plugin.data.tools.lmdb_making import make_lmdb
from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all

CLIPS = {'REDS': ('001', '002'), 'clips': ('a', 'b'), 'vimeo': ('00001/0001', '00001/0002')}
CROPS = {'gt_size': 16, 'use_hflip': False, 'use_rot': False}
REDS = {'num_frame': 2, 'val_partition': 'REDS4', 'test_mode': False, **CROPS}
VIMEO = {'num_frame': 7, 'random_reverse': False, 'flip_sequence': False, **CROPS}
TESTS = {'num_frame': 3, 'padding': 'reflection', 'use_duf_downsampling': False, 'cache_data': True}
KINDS = {
    'REDSDataset': ('REDS', 'train', REDS | {'dataroot_flow': None}),
    'REDSRecurrentDataset': ('REDS', 'train', REDS),
    'Vimeo90KDataset': ('vimeo', 'train', VIMEO),
    'Vimeo90KRecurrentDataset': ('vimeo', 'train', VIMEO),
    'VideoTestDataset': ('clips', 'test', TESTS),
    'VideoTestDUFDataset': ('clips', 'test', TESTS),
    'VideoRecurrentTestDataset': ('clips', 'test', TESTS),
    'VideoTestVimeo90KDataset': ('vimeo', 'test', {'num_frame': 7, 'cache_data': False}),
    'VideoFoldersDataset': ('clips', 'train', {'num_frame': 2, **CROPS}),
    'DegradedClipsDataset': ('clips', 'train', {'num_frame': 2, 'degradation': {'kind': 'bi'}, **CROPS}),
}
IN_LMDBS = [
    'REDSDataset',
    'REDSRecurrentDataset',
    'Vimeo90KDataset',
    'Vimeo90KRecurrentDataset',
    'VideoFoldersDataset',
    'DegradedClipsDataset',
]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Clips of three layouts, GT of 16x24 pixels being twice LQ."""
    register_all()
    root = tmp_path_factory.mktemp('sizes')
    names = {
        'REDS': [f'{i:08d}' for i in range(100)],
        'clips': ['0', '1', '2'],
        'vimeo': [f'im{i}' for i in range(1, 8)],
    }
    for place, clips in CLIPS.items():
        for kind, height in (('LQ', 8), ('GT', 16)):
            content = cv2.imencode('.png', np.zeros((height, height * 3 // 2, 3), np.uint8))[1].tobytes()
            for clip in clips:
                folder = root / place / kind / clip
                folder.mkdir(parents=True)
                for name in names[place]:
                    (folder / f'{name}.png').write_bytes(content)
    return root


def section(data, tmp_path, kind, sizes):
    place, phase, options = KINDS[kind]
    frames = {'REDS': 100, 'clips': 3, 'vimeo': 7}[place]
    listed = tmp_path / 'list.txt'
    listed.write_text(''.join(f'{clip} {frames} {size}\n' for clip, size in zip(CLIPS[place], sizes, strict=True)))
    roots = {f'dataroot_{side.lower()}': str(data / place / side) for side in ('LQ', 'GT')}
    if kind == 'DegradedClipsDataset':
        del roots['dataroot_lq']
    common = {'name': 'Vid4', 'type': kind, 'phase': phase, 'scale': 2, 'io_backend': {'type': 'disk'}}
    return common | roots | options | {'meta_info_file': str(listed)}


def check(section):
    check_datasets({'datasets': {section['phase']: section}})


def refusal(section, tmp_path):
    with pytest.raises(UserError) as error:
        check(section)
    return str(error.value).replace(f'{tmp_path}/', '')


# Of Vimeo-90K's training sets only the first sequence is looked at, since there are tens of thousands.
@pytest.mark.parametrize('wrong', [0, 1])
@pytest.mark.parametrize('kind', KINDS)
def test_a_size_that_the_frames_do_not_have_is_named(data, tmp_path, kind, wrong):
    check(section(data, tmp_path, kind, ['(16,24,3)'] * 2))
    wrong = 0 if kind.startswith('Vimeo90K') else wrong
    clip = CLIPS[KINDS[kind][0]][wrong]
    sizes = ['(16,24,3)'] * 2
    sizes[wrong] = '(24,16,3)'
    found = refusal(section(data, tmp_path, kind, sizes), tmp_path)
    assert f'list.txt gives clip {clip} 24x16 pixels, but {data}' in found
    assert found.endswith('.png has 16x24; correct the line, or dataroot_gt where these are other clips.')


@pytest.mark.parametrize('kind', IN_LMDBS)
def test_so_it_is_in_lmdbs(data, tmp_path, kind):
    options = section(data, tmp_path, kind, ['(16,24,3)', '(16,32,3)'])
    for key in ('dataroot_lq', 'dataroot_gt'):
        if key in options:
            out = tmp_path / f'{key}.lmdb'
            make_lmdb(data / KINDS[kind][0] / key[-2:].upper(), out)
            options[key] = str(out)
    options['io_backend'] = {'type': 'lmdb'}
    assert f'gives clip {CLIPS[KINDS[kind][0]][1]} 16x32 pixels, but ' in refusal(options, tmp_path)


def test_without_ground_truth_or_sizes_there_is_nothing_to_compare(data, tmp_path):
    options = section(data, tmp_path, 'VideoFoldersDataset', ['(1,1,3)'] * 2) | {'phase': 'test', 'dataroot_gt': None}
    check({key: value for key, value in options.items() if key not in (*CROPS, 'num_frame')})
    check(section(data, tmp_path, 'VideoFoldersDataset', ['(16,24,1)', '()']))
    options = section(data, tmp_path, 'VideoFoldersDataset', ['', ''])
    (tmp_path / 'list.txt').write_text('a\nb\n')
    check(options)


@pytest.mark.parametrize('kind', ['VideoFoldersDataset', 'DegradedClipsDataset'])
def test_numbers_of_frames_are_compared(data, tmp_path, kind):
    options = section(data, tmp_path, kind, ['(16,24,3)'] * 2)
    (tmp_path / 'list.txt').write_text('a 3 (16,24,3)\nb 5 (16,24,3)\n')
    assert 'meta_info_file gives clip b 5 frames, but dataroot_' in refusal(options, tmp_path)
