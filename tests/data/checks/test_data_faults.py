"""What lies in the folders of a data set beside its frames, and frames that cannot be used, are named beforehand."""

import cv2
import numpy as np
import pytest
from basicsr.data.data_util import generate_frame_indices

from gsm_plugin.data.checks import check_datasets
from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all

SEQUENCES = ('00001/0001', '00001/0002')
FOLDER_TYPES = ('VideoTestDataset', 'VideoTestDUFDataset', 'VideoRecurrentTestDataset')
PAIR_TYPES = ('PairedImageDataset', 'RealESRGANPairedDataset')


@pytest.fixture(autouse=True)
def registered():
    register_all()


def write(path, side=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((side, side, 3), len(path.name), np.uint8))


@pytest.fixture
def root(tmp_path):
    """Two clips of three frames, three pairs of images, two sequences of Vimeo-90K; GT is twice LQ."""
    for kind, side in (('LQ', 8), ('GT', 16)):
        for i in range(3):
            for clip in ('a', 'b'):
                write(tmp_path / 'clips' / kind / clip / f'{i}.png', side)
            write(tmp_path / 'pairs' / kind / f'{i}.png', side)
        for sequence in SEQUENCES:
            for i in range(1, 8):
                write(tmp_path / 'vimeo' / kind / sequence / f'im{i}.png', side)
    (tmp_path / 'vimeo' / 'list.txt').write_text(''.join(f'{name} 7 (16,16,3)\n' for name in SEQUENCES))
    return tmp_path


def check(root, kind, phase='test', **changes):
    place = root / ('pairs' if kind in (*PAIR_TYPES, 'SingleImageDataset') else 'clips')
    section = {'name': 'Vid4', 'type': kind, 'phase': phase, 'scale': 2, 'io_backend': {'type': 'disk'}}
    if kind in FOLDER_TYPES:
        section |= {'num_frame': 3, 'padding': 'reflection', 'cache_data': True, 'use_duf_downsampling': False}
    elif kind == 'VideoTestVimeo90KDataset':
        place = root / 'vimeo'
        section |= {'num_frame': 7, 'cache_data': False, 'meta_info_file': str(place / 'list.txt')}
    elif phase == 'train':
        section |= {'gt_size': 16, 'use_hflip': False, 'use_rot': False}
    section |= {f'dataroot_{side.lower()}': str(place / side) for side in ('LQ', 'GT')}
    if kind == 'SingleImageDataset':
        del section['dataroot_gt']
    check_datasets({'datasets': {phase: section | changes}})


def refusal(root, kind, phase='test', **changes):
    with pytest.raises(UserError) as error:
        check(root, kind, phase, **changes)
    return str(error.value).removeprefix(f'datasets:{phase}: ')


@pytest.mark.parametrize('stray', ['Thumbs.db', 'desktop.ini', 'notes.txt', 'frames.csv'])
@pytest.mark.parametrize('kind', [*FOLDER_TYPES, *PAIR_TYPES, 'SingleImageDataset'])
def test_a_file_that_basicsr_would_take_for_a_frame_is_named(root, kind, stray):
    check(root, kind)
    folder = 'pairs/{}' if kind in (*PAIR_TYPES, 'SingleImageDataset') else 'clips/{}/b'
    for side in ('LQ', 'GT'):
        (root / folder.format(side) / stray).write_text('no image')
    expected = f'{root / folder.format("LQ") / stray} is no image; remove it, since BasicSR takes every file of a clip'
    assert refusal(root, kind).startswith(expected)


@pytest.mark.parametrize('kind', PAIR_TYPES)
def test_it_is_named_before_training_too(root, kind):
    check(root, kind, 'train')
    for side in ('LQ', 'GT'):
        (root / 'pairs' / side / 'Thumbs.db').touch()
    assert 'pairs/LQ/Thumbs.db is no image' in refusal(root, kind, 'train')


@pytest.mark.parametrize('kind', [*FOLDER_TYPES, 'VideoFoldersDataset'])
def test_what_basicsr_passes_over_is_passed_over(root, kind):
    for side in ('LQ', 'GT'):
        (root / 'clips' / side / '.DS_Store').touch()
        (root / 'clips' / side / 'a' / '.DS_Store').touch()
        (root / 'clips' / side / 'a' / '._0.png').touch()
    (root / 'clips' / 'LQ' / 'a' / '@eaDir').mkdir()
    (root / 'clips' / 'GT' / 'a' / 'thumbnail.png').mkdir()
    check(root, kind)


@pytest.mark.parametrize('stray', ['Thumbs.db', 'a.zip'])
def test_a_file_beside_the_clips_is_named_where_basicsr_takes_it_for_one(root, stray):
    for side in ('LQ', 'GT'):
        (root / 'clips' / side / stray).touch()
    check(root, 'VideoFoldersDataset')
    for kind in FOLDER_TYPES:
        assert refusal(root, kind).startswith(f'{root}/clips/LQ/{stray} is no folder of frames; move it away')
    (root / 'list.txt').write_text('a 3 (16,16,3)\n')
    check(root, 'VideoRecurrentTestDataset', meta_info_file=str(root / 'list.txt'))


def test_a_name_that_basicsr_takes_for_a_pattern_is_refused(root):
    (root / 'clips').rename(root / 'clips [x2]')
    roots = {f'dataroot_{side.lower()}': str(root / 'clips [x2]' / side) for side in ('LQ', 'GT')}
    check(root, 'VideoFoldersDataset', **roots)
    assert r'has a *, ? or [ in its name, by which BasicSR finds no clips' in refusal(root, 'VideoTestDataset', **roots)


def spoil(path, how):
    """Spoils a frame; returns what is to be said of it."""
    if how == 'empty':
        path.write_bytes(b'')
        return f'{path} is empty (0 bytes); copy or make it again.'
    if how == 'text':
        path.write_bytes(b'<html>404</html>')
        return f'{path} is damaged, cut, or no image; copy or make it again.'
    if how == 'link':
        path.unlink()
        path.symlink_to('../gone.png')
        return f'{path} is a link to ../gone.png, which does not exist; copy the file, or link it again.'
    write(path, 6)
    return '6x6'


@pytest.mark.parametrize('how', ['empty', 'text', 'link', 'size'])
@pytest.mark.parametrize('side', ['LQ', 'GT'])
@pytest.mark.parametrize('kind', [*FOLDER_TYPES, 'VideoFoldersDataset', 'VideoTestVimeo90KDataset'])
def test_a_frame_that_cannot_be_used_is_named_before_anything_is_built(root, kind, side, how):
    check(root, kind)
    vimeo = kind == 'VideoTestVimeo90KDataset'
    path = root / 'vimeo' / side / SEQUENCES[1] / 'im4.png' if vimeo else root / 'clips' / side / 'b' / '2.png'
    said = spoil(path, how)
    found = refusal(root, kind)
    assert said in found
    assert str(path) in found


@pytest.mark.parametrize('how', ['empty', 'text', 'link'])
@pytest.mark.parametrize('kind', [*PAIR_TYPES, 'SingleImageDataset'])
def test_so_is_a_single_image(root, kind, how):
    said = spoil(root / 'pairs' / 'LQ' / '1.png', how)
    assert refusal(root, kind) == said


@pytest.mark.parametrize(
    'changes, expected',
    [
        ({'padding': 'reflectoin'}, "padding is 'reflectoin'; set replicate, reflection, reflection_circle, circle."),
        ({'num_frame': 4}, 'num_frame is 4; {} needs an odd number.'),
        ({'num_frame': 7}, 'clip a has 3 frames, but num_frame 7 with padding reflection needs 4; set padding:'),
        ({'num_frame': 5, 'padding': 'circle'}, 'clip a has 3 frames, but num_frame 5 with padding circle needs 5;'),
        ({'num_frame': 5, 'padding': 'reflection_circle'}, 'with padding reflection_circle needs 5;'),
    ],
)
@pytest.mark.parametrize('kind', FOLDER_TYPES[:2])
def test_windows_that_basicsr_cannot_fill_are_refused(root, kind, changes, expected):
    assert expected.format(kind) in refusal(root, kind, **changes)


@pytest.mark.parametrize('padding', ['replicate', 'reflection', 'reflection_circle', 'circle'])
@pytest.mark.parametrize('count', [1, 3, 5, 7, 9])
def test_the_windows_that_are_refused_are_those_that_basicsr_cannot_fill(root, padding, count):
    frames = {frame for i in range(3) for frame in generate_frame_indices(i, 3, count, padding)}
    if frames <= {0, 1, 2}:
        check(root, 'VideoTestDataset', padding=padding, num_frame=count)
    else:
        assert 'clip a has 3 frames' in refusal(root, 'VideoTestDataset', padding=padding, num_frame=count)


def test_frames_without_ground_truth_are_looked_at_too(root):
    said = spoil(root / 'clips' / 'LQ' / 'a' / '1.png', 'text')
    assert refusal(root, 'VideoFoldersDataset', dataroot_gt=None) == said


def test_a_training_set_is_not_looked_at_frame_by_frame(root):
    spoil(root / 'clips' / 'LQ' / 'a' / '1.png', 'text')
    check(root, 'VideoFoldersDataset', 'train', num_frame=1)


def test_a_folder_that_cannot_be_listed_is_named(root, monkeypatch):
    def forbid(path):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr('os.listdir', forbid)
    expected = f'{root}/clips/LQ cannot be read (Permission denied); correct the path or its permissions.'
    assert refusal(root, 'VideoTestDataset') == expected
