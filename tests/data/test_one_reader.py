"""The same frame is the same picture in folders, LMDBs, made LQ frames and BasicSR's own data sets."""

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image

from gsm_plugin.cli.main import main
from gsm_plugin.compat.image_files import read_image, to_unit
from gsm_plugin.data.degradations import degrade
from gsm_plugin.data.frame_sources import FolderSource, LmdbSource
from gsm_plugin.data.layouts import find_layout
from gsm_plugin.data.tools.checking import check_dataset
from gsm_plugin.data.tools.degrading import degrade_clips
from gsm_plugin.data.tools.lmdb_making import make_lmdb
from gsm_plugin.data.tools.meta_info import write_meta_info

# pixels as stored: EXIF's 5 to 8 swap the sides
STORED = (32, 48)


def smooth(seed, top=256):
    small = np.random.default_rng(seed).integers(0, top, (4, 6, 3)).astype(np.float32)
    return cv2.resize(small, STORED[::-1], interpolation=cv2.INTER_LINEAR)


def write_turned(folder, suffix, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    folder.mkdir(parents=True)
    for i in range(3):
        Image.fromarray(smooth(i).astype(np.uint8)).save(folder / f'{i:08d}.{suffix}', quality=95, exif=tags.tobytes())


def write_deep(folder, suffix):
    folder.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(folder / f'{i:08d}.{suffix}'), smooth(i, 65536).astype(np.uint16))


@pytest.fixture(params=[('jpg', 6), ('webp', 8), ('png', 5), ('png', None), ('tif', None)])
def clip(request, tmp_path):
    """A folder of one clip: turned by EXIF, or of 16 bits; with LQ and LMDBs that our tools make of it."""
    suffix, orientation = request.param
    if orientation:
        write_turned(tmp_path / 'GT' / '001', suffix, orientation)
    else:
        write_deep(tmp_path / 'GT' / '001', suffix)
    degrade_clips(tmp_path / 'GT', tmp_path / 'LQ', 'bi')
    for kind in ('GT', 'LQ'):
        make_lmdb(tmp_path / kind, tmp_path / f'{kind}.lmdb')
    return tmp_path


def test_folders_lmdbs_and_made_frames_agree(clip):
    for i in range(3):
        gt, lq = (FolderSource(clip / kind).read('001', i) for kind in ('GT', 'LQ'))
        for kind, image in (('GT', gt), ('LQ', lq)):
            np.testing.assert_array_equal(LmdbSource(clip / f'{kind}.lmdb').read('001', i), image)
            assert FolderSource(clip / kind).header('001', i).size == image.shape[:2]
            assert LmdbSource(clip / f'{kind}.lmdb').header('001', i).size == image.shape[:2]
        original = read_image(next((clip / 'GT' / '001').glob(f'{i:08d}.*')))
        np.testing.assert_array_equal(lq, to_unit(degrade(original, 'bi')))
        assert np.abs(cv2.resize(gt, lq.shape[1::-1], interpolation=cv2.INTER_AREA) - lq).mean() < 0.02


def test_the_check_and_the_list_see_what_is_read(clip):
    assert check_dataset(find_layout('clips'), clip / 'GT', clip / 'LQ').findings == []
    write_meta_info(clip / 'GT', clip / 'list.txt')
    height, width, _ = FolderSource(clip / 'GT').read('001', 0).shape
    assert (clip / 'list.txt').read_text() == f'001 3 ({height},{width},3)\n'


def test_basicsr_trains_and_tests_on_the_same_pixels(clip):
    lq = np.stack([FolderSource(clip / 'LQ').read('001', i) for i in range(3)])
    expected = torch.from_numpy(lq[..., ::-1].transpose(0, 3, 1, 2).copy())
    common = {'name': 'Vid4', 'type': 'VideoRecurrentTestDataset', 'phase': 'val', 'cache_data': True, 'num_frame': -1}
    roots = {f'dataroot_{kind.lower()}': str(clip / kind) for kind in ('GT', 'LQ')}
    dataset = build_dataset({**common, **roots, 'io_backend': {'type': 'disk'}})
    torch.testing.assert_close(dataset[0]['lq'], expected, rtol=0, atol=0)
    side = 4 * min(lq.shape[1:3])
    pair = {'name': 'p', 'type': 'PairedImageDataset', 'phase': 'train', 'scale': 4, 'gt_size': side}
    pair |= {'use_hflip': False, 'use_rot': False, 'io_backend': {'type': 'lmdb'}}
    roots = {f'dataroot_{kind.lower()}': str(clip / f'{kind}.lmdb') for kind in ('GT', 'LQ')}
    item = build_dataset({**pair, **roots})[0]
    crops = torch.stack([item['lq'], expected[0][:, : side // 4, : side // 4]])
    # the place of the crop is drawn
    assert crops.shape[-2:] == (side // 4, side // 4)
    assert any(
        torch.equal(item['lq'], expected[0][:, y : y + side // 4, x : x + side // 4])
        for y in range(lq.shape[1] - side // 4 + 1)
        for x in range(lq.shape[2] - side // 4 + 1)
    )


def test_what_is_made_of_16_bits_has_16_bits(tmp_path):
    write_deep(tmp_path / 'GT' / 'a', 'png')
    for kind in ('bi', 'bd', 'bd-duf'):
        degrade_clips(tmp_path / 'GT', tmp_path / kind, kind)
        made = cv2.imread(str(tmp_path / kind / 'a' / '00000001.png'), cv2.IMREAD_UNCHANGED)
        assert made.dtype == np.uint16
        coarse = degrade((read_image(tmp_path / 'GT' / 'a' / '00000001.png') / 257).round().astype(np.uint8), kind)
        assert 0 < np.abs(made / 257 - coarse).max() < 1.1


def test_alpha_is_left_out_and_that_is_said(tmp_path, capsys):
    image = np.dstack([smooth(0), np.full(STORED, 128)]).astype(np.uint8)
    for clip in ('a', 'b'):
        (tmp_path / 'GT' / clip).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'GT' / clip / '0.png'), image)
    path = tmp_path / 'GT' / 'a' / '0.png'
    sentence = f'{path} (and 1 more) has an alpha channel, which is left out: what is read is colour alone.'
    main(['data', 'check', 'clips', '--gt', str(tmp_path / 'GT')])
    assert f'Note: {sentence}\nNothing is wrong.' in capsys.readouterr().out
    places = str(tmp_path / 'GT'), str(tmp_path / 'out.lmdb')
    for words in (('degrade', places[0], str(tmp_path / 'LQ'), '--kind', 'bi'), ('lmdb', 'create', *places)):
        main(['data', *words])
        assert sentence in capsys.readouterr().err


def test_the_data_set_says_that_alpha_is_left_out(tmp_path, monkeypatch):
    from basicsr.utils import get_root_logger

    from gsm_plugin.registration import register_all

    register_all()
    (tmp_path / 'LQ' / 'a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'LQ' / 'a' / '0.png'), np.zeros((8, 8, 4), np.uint8))
    said = []
    monkeypatch.setattr(get_root_logger(), 'warning', said.append)
    build_dataset(
        {'name': 'v', 'type': 'VideoFoldersDataset', 'phase': 'val', 'scale': 2, 'dataroot_lq': str(tmp_path / 'LQ')}
    )
    assert said == [
        f'Dataset v: {tmp_path}/LQ/a/0.png has an alpha channel, which is left out: what is read is colour alone.'
    ]
