"""BasicSR's sets of ground truth alone, and lists of single images, are looked at before a training."""

import cv2
import numpy as np
import pytest

from gsm_plugin.data.checks import check_datasets
from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all

SPREADS = {'kernel_list': ['iso'], 'kernel_prob': [1], 'blur_sigma': [1, 2], 'betag_range': [1, 2]}
BLUR = {'blur_kernel_size': 21, **SPREADS, 'betap_range': [1, 2], 'sinc_prob': 0.1}
KINDS = {
    'FFHQDataset': {'mean': [0.5, 0.5, 0.5], 'std': [0.5, 0.5, 0.5], 'use_hflip': True},
    'RealESRGANDataset': BLUR
    | {f'{key}2': value for key, value in BLUR.items()}
    | {'final_sinc_prob': 0.8, 'use_hflip': True, 'use_rot': False},
}


@pytest.fixture(autouse=True)
def registered():
    register_all()


@pytest.fixture
def root(tmp_path):
    """Three images and a list of them."""
    for i in range(3):
        path = tmp_path / 'GT' / f'{i:08d}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'list.txt').write_text(''.join(f'{i:08d}.png (8,8,3)\n' for i in range(3)))
    return tmp_path


def check(root, kind, **changes):
    section = {'name': 'faces', 'type': kind, 'phase': 'train', 'scale': 4, 'io_backend': {'type': 'disk'}}
    section |= {'dataroot_gt': str(root / 'GT')} | KINDS.get(kind, {})
    if kind == 'RealESRGANDataset':
        section['meta_info'] = str(root / 'list.txt')
    check_datasets({'datasets': {'train': section | changes}})


def refusal(root, kind, **changes):
    with pytest.raises(UserError) as error:
        check(root, kind, **changes)
    return str(error.value).replace(f'{root}/', '')


def lmdb(root, text):
    (root / 'GT.lmdb').mkdir()
    if text is not None:
        (root / 'GT.lmdb' / 'meta_info.txt').write_text(text)
    return {'dataroot_gt': str(root / 'GT.lmdb'), 'io_backend': {'type': 'lmdb'}}


def test_the_seventy_thousand_images_of_ffhq_are_looked_for(root, monkeypatch):
    expected = 'GT lacks 00000003.png; FFHQDataset reads 70000 images, named 00000000.png and so on, so correct'
    assert expected in refusal(root, 'FFHQDataset')
    # BasicSR makes the names by range(70000)
    monkeypatch.setattr('basicsr.data.ffhq_dataset.range', lambda _: range(3), raising=False)
    check(root, 'FFHQDataset')
    (root / 'GT' / '00000000.png').write_bytes(b'text')
    assert '00000000.png is damaged, cut, or no image' in refusal(root, 'FFHQDataset')
    (root / 'GT' / '00000001.png').unlink()
    assert 'GT lacks 00000001.png; FFHQDataset reads 3 images' in refusal(root, 'FFHQDataset')


def test_a_list_of_real_esrgan_names_images_that_are_there(root):
    check(root, 'RealESRGANDataset')
    (root / 'list.txt').write_text('00000000.png\n00000009.png\n')
    expected = 'datasets:train: list.txt names GT/00000009.png, which does not exist; correct the line, or the folder.'
    assert refusal(root, 'RealESRGANDataset') == expected
    (root / 'list.txt').write_text('\n')
    assert 'list.txt names no image; write one a line' in refusal(root, 'RealESRGANDataset')
    (root / 'list.txt').unlink()
    assert 'the list list.txt does not exist; correct its path.' in refusal(root, 'RealESRGANDataset')


def test_the_first_image_of_real_esrgan_is_one(root):
    (root / 'GT' / '00000000.png').write_bytes(b'')
    assert 'GT/00000000.png is empty (0 bytes); copy or make it again.' in refusal(root, 'RealESRGANDataset')
    (root / 'GT' / '00000000.png').unlink()
    (root / 'GT' / '00000000.png').symlink_to('gone.png')
    assert 'is a link to gone.png, which does not exist' in refusal(root, 'RealESRGANDataset')


@pytest.mark.parametrize('kind', KINDS)
def test_an_lmdb_has_a_list_with_something_in_it(root, kind):
    changes = lmdb(root, None)
    assert 'GT.lmdb is no LMDB of BasicSR, without meta_info.txt' in refusal(root, kind, **changes)
    (root / 'GT.lmdb' / 'meta_info.txt').write_text('')
    assert 'GT.lmdb holds no images; make the LMDB again.' in refusal(root, kind, **changes)
    (root / 'GT.lmdb' / 'meta_info.txt').write_text('00000000.png (8,8,3) 1\n')
    check(root, kind, **changes)
    assert 'the name of an LMDB ends in .lmdb' in refusal(root, kind, io_backend={'type': 'lmdb'})


@pytest.mark.parametrize(
    'kind, changes, expected',
    [
        ('FFHQDataset', {'dataroot_gt': None}, 'lacks dataroot_gt, which its type needs'),
        ('RealESRGANDataset', {'meta_info': None}, 'lacks meta_info, which its type needs'),
        ('RealESRGANDataset', {'io_backend': None}, 'lacks io_backend, which its type needs'),
    ],
)
def test_what_is_needed_to_find_the_images_is_missed(root, kind, changes, expected):
    assert expected in refusal(root, kind, **changes)


@pytest.mark.parametrize('kind', ['PairedImageDataset', 'RealESRGANPairedDataset'])
@pytest.mark.parametrize('side', ['LQ', 'GT'])
def test_images_of_a_list_of_pairs_are_there(root, kind, side):
    (root / 'LQ').mkdir()
    for path in (root / 'GT').iterdir():
        cv2.imwrite(str(root / 'LQ' / path.name), np.zeros((2, 2, 3), np.uint8))
    if kind == 'RealESRGANPairedDataset':
        (root / 'list.txt').write_text(''.join(f'{i:08d}.png, {i:08d}.png\n' for i in range(3)))
    key = 'meta_info_file' if kind == 'PairedImageDataset' else 'meta_info'
    options = {'dataroot_lq': str(root / 'LQ'), key: str(root / 'list.txt'), 'gt_size': 8}
    options |= {'use_hflip': False, 'use_rot': False}
    check(root, kind, **options)
    (root / side / '00000002.png').unlink()
    assert f'list.txt names {side}/00000002.png, which does not exist' in refusal(root, kind, **options)


def test_a_line_of_pairs_that_is_none_is_quoted(root):
    expected = """list.txt, line 1 is '00000000.png (8,8,3)'; a line looks like "gt/0001.png, lq/0001.png"."""
    options = {'dataroot_lq': str(root / 'GT'), 'meta_info': str(root / 'list.txt'), 'gt_size': 8}
    assert expected in refusal(root, 'RealESRGANPairedDataset', **options, use_hflip=False, use_rot=False)
