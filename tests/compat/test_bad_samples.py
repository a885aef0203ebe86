import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch

import gsm_plugin  # noqa: F401
from gsm_plugin.compat.bad_samples import KEY, BadSample, GuardedSamples
from gsm_plugin.errors import UserError

# isort: split
from basicsr.data import build_dataset
from basicsr.models.video_base_model import VideoBaseModel
from basicsr.utils.lmdb_util import make_lmdb_from_imgs

CLIP = '001'
FRAMES = 100
DAMAGED = 40
KINDS = ('VideoFoldersDataset', 'REDSRecurrentDataset')


@pytest.fixture(scope='module')
def clean(tmp_path_factory):
    """A clip of a hundred frames as folders and as LMDBs."""
    from gsm_plugin.registration import register_all

    register_all()
    root = tmp_path_factory.mktemp('clip')
    noise = np.random.default_rng(0)
    for kind, side in (('LQ', 8), ('GT', 16)):
        (root / kind / CLIP).mkdir(parents=True)
        for frame in range(FRAMES):
            image = noise.integers(0, 256, (side, side, 3), np.uint8)
            cv2.imwrite(str(root / kind / CLIP / f'{frame:08d}.png'), image)
        paths = [f'{CLIP}/{frame:08d}.png' for frame in range(FRAMES)]
        make_lmdb_from_imgs(str(root / kind), str(root / f'{kind}.lmdb'), paths, [path[:-4] for path in paths])
    (root / 'list.txt').write_text(f'{CLIP} {FRAMES} (16,16,3)\n')
    return root


@pytest.fixture
def root(clean, tmp_path):
    """The same, to be damaged."""
    return shutil.copytree(clean, tmp_path / 'clip')


def make_set(root, kind, backend='disk', **changes):
    ending = '.lmdb' if backend == 'lmdb' else ''
    roots = {'dataroot_lq': str(root / f'LQ{ending}'), 'dataroot_gt': str(root / f'GT{ending}')}
    opt = {'name': 'clips', 'type': kind, 'phase': 'train', 'scale': 2, 'meta_info_file': str(root / 'list.txt')}
    opt |= {'num_frame': 2, 'gt_size': 16, 'io_backend': {'type': backend}, **roots}
    if kind == 'REDSRecurrentDataset':
        opt |= {'val_partition': 'REDS4', 'test_mode': False, 'use_hflip': False, 'use_rot': False}
    return build_dataset({**opt, **changes})


def cut_file(root):
    path = root / 'LQ' / CLIP / f'{DAMAGED:08d}.png'
    path.write_bytes(path.read_bytes()[:100])
    return str(path)


def remove_file(root):
    path = root / 'GT' / CLIP / f'{DAMAGED:08d}.png'
    path.unlink()
    return str(path)


def change_database(root, change):
    import lmdb

    key = f'{CLIP}/{DAMAGED:08d}'
    with lmdb.open(str(root / 'LQ.lmdb'), map_size=2**24) as environment, environment.begin(write=True) as writing:
        change(writing, key.encode())
    return f'{key} of {root / "LQ.lmdb"}'


def cut_value(root):
    return change_database(root, lambda writing, key: writing.put(key, writing.get(key)[:100]))


def remove_key(root):
    return change_database(root, lambda writing, key: writing.delete(key))


DAMAGES = [(cut_file, 'disk'), (remove_file, 'disk'), (cut_value, 'lmdb'), (remove_key, 'lmdb')]


@pytest.mark.parametrize('damage, backend', DAMAGES)
@pytest.mark.parametrize('kind', KINDS)
def test_a_sample_that_cannot_be_read_names_the_file_and_the_cure(root, kind, damage, backend):
    dataset = make_set(root, kind, backend)
    where = damage(root)
    with pytest.raises(BadSample) as error:
        dataset[DAMAGED]
    sentence = str(error.value)
    if damage is remove_key and kind == 'VideoFoldersDataset':
        where = str(root / 'LQ.lmdb')
    assert sentence.startswith('Data set clips: ')
    assert where in sentence
    assert sentence.endswith('To go on without it, set datasets: train: on_bad_sample: skip.')
    assert '\n' not in sentence
    assert KEY not in dataset[0]


@pytest.mark.parametrize('damage, backend', DAMAGES)
@pytest.mark.parametrize('kind', KINDS)
def test_with_skip_it_is_replaced_by_another_which_depends_on_the_index_alone(root, kind, damage, backend):
    dataset = make_set(root, kind, backend, on_bad_sample='skip')
    damage(root)
    sample = dataset[DAMAGED]
    assert sample['lq'].shape == (2, 3, 8, 8)
    assert sample[KEY].startswith('Data set clips: ')
    torch.testing.assert_close(sample['lq'], dataset[(DAMAGED + 62) % FRAMES]['lq'], atol=0, rtol=0)
    assert dataset[0][KEY] == ''


@pytest.mark.parametrize('kind', KINDS)
def test_a_set_that_is_nothing_but_damaged_ends_though_it_may_skip(root, kind):
    dataset = make_set(root, kind, on_bad_sample='skip')
    shutil.rmtree(root / 'GT' / CLIP)
    with pytest.raises(BadSample, match='10 samples one after another cannot be read, so none replaces them'):
        dataset[0]


def test_a_bug_of_a_data_set_keeps_its_traceback():
    class Buggy(list):
        def __getitem__(self, index):
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        GuardedSamples(Buggy([1]), 'x', skip=True)[0]


@pytest.mark.parametrize('start, backend', [('fork', 'disk'), ('spawn', 'lmdb')])
def test_a_failure_in_a_worker_is_one_sentence_that_names_the_file(root, start, backend):
    kind = KINDS[0] if start == 'fork' else KINDS[1]
    dataset = make_set(root, kind, backend)
    where = cut_value(root) if backend == 'lmdb' else cut_file(root)
    loader = torch.utils.data.DataLoader(dataset, sampler=[DAMAGED], num_workers=1, multiprocessing_context=start)
    with pytest.raises(UserError) as error:
        list(loader)
    assert str(error.value).startswith('Data set clips: ')
    assert where in str(error.value)
    assert 'Traceback' not in str(error.value)


def test_a_guarded_set_is_the_set_in_everything_else(root):
    dataset = make_set(root, KINDS[0])
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy.folders, len(copy), copy.opt['name']) == ([CLIP], FRAMES, 'clips')
    with pytest.raises(AttributeError):
        _ = dataset.nothing


@pytest.mark.parametrize('kind', ['LQ', 'GT'])
@pytest.mark.parametrize('phase', ['val', 'test'])
def test_frames_of_validation_and_tests_are_named_too_but_never_replaced(root, phase, kind):
    roots = {f'dataroot_{kind.lower()}': str(root / kind) for kind in ('LQ', 'GT')}
    dataset = build_dataset({'name': 'v', 'type': KINDS[0], 'phase': phase, 'scale': 2, **roots})
    assert dataset.has_gt
    assert dataset.read_gt(0, DAMAGED).shape == (3, 16, 16)
    path = root / kind / CLIP / f'{DAMAGED:08d}.png'
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadSample) as error:
        dataset[0] if kind == 'LQ' else dataset.read_gt(0, DAMAGED)
    assert str(error.value) == f'Data set v: {path} is damaged, cut, or no image; copy or make it again.'


def test_a_frame_is_named_where_a_worker_reads_for_validation(root):
    dataset = build_dataset(
        {'name': 'v', 'type': KINDS[0], 'phase': 'val', 'scale': 2, 'dataroot_lq': str(root / 'LQ')}
    )
    (root / 'LQ' / CLIP / '00000007.png').write_bytes(b'')
    with pytest.raises(BadSample) as error:
        list(torch.utils.data.DataLoader(dataset, num_workers=1))
    assert str(error.value) == f'Data set v: {root}/LQ/{CLIP}/00000007.png is empty (0 bytes); copy or make it again.'


def test_a_model_counts_and_logs_what_was_replaced(root, caplog, monkeypatch):
    from basicsr.models import video_base_model

    said = []
    monkeypatch.setattr(video_base_model.get_root_logger(), 'error', said.append)
    model = object.__new__(VideoBaseModel)
    model.device = torch.device('cpu')
    for texts in (['', ''], ['a.', 'b.\nc.'], []):
        model.feed_data({'lq': torch.zeros(1, 1), **({KEY: texts} if texts else {})})
    assert said == [f'Bad sample {i}, replaced: {text}.' for i, text in enumerate('abc', 1)]
    assert model.bad_samples == 3
