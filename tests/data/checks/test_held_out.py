"""One folder with a list for training and another for validation, of any type that has lists."""

import shutil

import cv2
import numpy as np
import pytest

from gsm_plugin.cli.main import main
from gsm_plugin.data.checks import check_datasets
from gsm_plugin.data.checks.held_out import check_held_out
from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all

CLIPS = [f'{number:03d}' for number in range(6)]


@pytest.fixture(autouse=True)
def registered():
    register_all()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Six clips of two frames; their LMDBs. The working directory."""
    for shade, clip in enumerate(CLIPS):
        for kind, side in (('LQ', 8), ('GT', 16)):
            (tmp_path / kind / clip).mkdir(parents=True)
            for i in range(2):
                cv2.imwrite(str(tmp_path / kind / clip / f'{i:08d}.png'), np.full((side, side, 3), 9 * shade, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sets(train_list, val_list, backend='disk', **val):
    ending = '.lmdb' if backend == 'lmdb' else ''
    common = {'name': 'x', 'type': 'VideoFoldersDataset', 'scale': 2, 'io_backend': {'type': backend}}
    common |= {'dataroot_gt': f'GT{ending}', 'dataroot_lq': f'LQ{ending}'}
    train = common | {'phase': 'train', 'num_frame': 1, 'gt_size': 16}
    val = common | {'phase': 'val'} | val
    for section, listed in ((train, train_list), (val, val_list)):
        if listed:
            section['meta_info_file'] = listed
    return {'datasets': {'train': train, 'val': val}}


def data(*words):
    main(['data', *words])


@pytest.mark.parametrize('backend', ['disk', 'lmdb'])
def test_two_lists_on_one_folder_are_told_apart(root, backend):
    data('meta', 'GT', 'train.txt', '--leave-out', '001', '004')
    data('meta', 'GT', 'val.txt', '--only', '001', '004')
    assert (root / 'train.txt').read_text() == ''.join(f'{clip} 2 (16,16,3)\n' for clip in ('000', '002', '003', '005'))
    assert (root / 'val.txt').read_text() == '001 2 (16,16,3)\n004 2 (16,16,3)\n'
    if backend == 'lmdb':
        for kind in ('GT', 'LQ'):
            data('lmdb', 'create', kind, f'{kind}.lmdb')
    check_datasets(sets('train.txt', 'val.txt', backend))
    # a part of what was left out, by name alone, as PowerShell ends its lines
    (root / 'one.txt').write_bytes(b'\xef\xbb\xbf004\r\n')
    check_datasets(sets('train.txt', 'one.txt', backend))
    (root / 'wrong.txt').write_text('004\n005\n')
    with pytest.raises(UserError, match=r'clip 005 is in datasets:train and in datasets:val'):
        check_datasets(sets('train.txt', 'wrong.txt', backend))


@pytest.mark.parametrize(
    'train, val, names, cure',
    [
        (None, None, 'clips 000, 001, 002 (and 3 more) are', 'give each the meta_info_file that {}--leave-out 005 and'),
        (
            None,
            '001 004',
            'clips 001, 004 are',
            'give the training set the meta_info_file that {}--leave-out 001 004 w',
        ),
        ('000 001 002 003', None, 'clips 000, 001, 002 (and 1 more) are', 'give the other set the meta_info_file that'),
        (
            '000 003 005',
            '003 004',
            'clip 003 is',
            'give the training set the meta_info_file that {}--leave-out 003 004 w',
        ),
    ],
)
def test_the_cure_is_a_command_that_cures(root, train, val, names, cure):
    for file, listed in (('train_list', train), ('val_list', val)):
        (root / file).write_text('\n'.join((listed or '').split()))
    options = sets(train and 'train_list', val and 'val_list')
    with pytest.raises(UserError) as error:
        check_datasets(options)
    sentence = str(error.value)
    assert sentence.startswith(f'{names} in datasets:train and in datasets:val, so the same would be')
    assert cure.format('basicsr data meta GT train.txt ') in sentence
    follow(sentence, options)
    check_datasets(options)


def follow(sentence, options):
    """Does what a refusal advises."""
    for words in sentence.rstrip('.').split('basicsr ')[1:]:
        command = words.split(' write')[0].split(' and')[0].split()
        main(command)
        options['datasets'][command[3].removesuffix('.txt')]['meta_info_file'] = command[3]


def test_a_copy_of_the_folder_is_compared_by_the_first_frame(root):
    for kind in ('LQ', 'GT'):
        shutil.copytree(root / kind / '002', root / 'other' / kind / '002')
        shutil.copytree(root / kind / '000', root / 'other' / kind / '003')
    other = {'dataroot_gt': 'other/GT', 'dataroot_lq': 'other/LQ'}
    with pytest.raises(UserError, match=r'clip 002 is in .* GT train\.txt --leave-out 002 writes'):
        check_datasets(sets(None, None, **other))
    (root / 'list.txt').write_text('003\n')
    check_datasets(sets(None, 'list.txt', **other))


def test_parts_of_a_mixed_set_are_looked_at(root):
    options = sets(None, 'val.txt')
    (root / 'val.txt').write_text('004\n')
    film = {'type': 'DegradedClipsDataset', 'dataroot_gt': 'GT'}
    options['datasets']['train'] = {'type': 'MixedDataset', 'phase': 'train', 'parts': {'film': film}}
    with pytest.raises(UserError, match=r'clip 004 is in datasets:train:parts:film and in datasets:val'):
        check_held_out(options['datasets'])
    (root / 'train.txt').write_text('003\n')
    film['meta_info_file'] = 'train.txt'
    check_held_out(options['datasets'])


@pytest.mark.parametrize('listed', [True, False])
def test_a_test_set_of_basicsr_has_a_list_too(root, listed):
    kind = {'type': 'VideoRecurrentTestDataset', 'name': 'Vid4', 'cache_data': True, 'num_frame': -1}
    data('meta', 'GT', 'train.txt', '--leave-out', '003')
    data('meta', 'GT', 'val.txt', '--only', '003')
    if listed:
        check_datasets(sets('train.txt', 'val.txt', **kind))
    else:
        with pytest.raises(UserError, match=r'--only 003 writes'):
            check_datasets(sets('train.txt', None, **kind))


def test_clips_that_reds_holds_out_may_be_validated_on_and_others_not(root):
    (root / 'all.txt').write_text(''.join(f'{clip} 2 (16,16,3)\n' for clip in CLIPS))
    options = sets('all.txt', 'val.txt')
    crops = {'use_hflip': False, 'use_rot': False, 'dataroot_flow': None}
    options['datasets']['train'] |= {'type': 'REDSDataset', 'val_partition': 'REDS4', **crops}
    (root / 'val.txt').write_text('000\n')
    check_datasets(options)
    (root / 'val.txt').write_text('000\n001\n')
    with pytest.raises(UserError, match=r'clip 001 is in datasets:train and in datasets:val'):
        check_datasets(options)


@pytest.mark.parametrize(
    'words, sentence',
    [
        (('GT', '--only', '000', '099'), 'GT has no clip 099 to list; name one that it has, REDS4 or official.'),
        (('GT', '--leave-out', '000', '099'), 'GT has no clip 099 to leave out; name one'),
        (('GT', '--only', '000', '--leave-out', '000'), 'GT has no clips but those to leave out'),
        (('GT/000', '--only', '0.png'), 'GT/000 is no folder of clips but of images'),
    ],
)
def test_meta_names_clips_that_are_not_there(root, capsys, words, sentence):
    with pytest.raises(SystemExit):
        data('meta', words[0], 'x.txt', *words[1:])
    assert sentence in capsys.readouterr().err
    assert not (root / 'x.txt').exists()
