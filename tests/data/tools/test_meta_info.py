import cv2
import numpy as np
import pytest
from basicsr.data.reds_dataset import REDSRecurrentDataset

from gsm_plugin.data.clip_names import ClipFacts, read_clip_facts
from gsm_plugin.data.tools.meta_info import write_meta_info
from gsm_plugin.errors import UserError
from tests.data.tools.miniature import everything_below, reds_names, vimeo_names, write_frame, write_pair


@pytest.fixture
def reds(tmp_path):
    write_pair(tmp_path, {clip: reds_names(2) for clip in ('000', '001', '011', '241')})
    return tmp_path / 'GT'


def test_it_lists_clips_with_their_frames_and_size(reds, tmp_path):
    assert write_meta_info(reds, tmp_path / 'meta.txt') == 4
    lines = (tmp_path / 'meta.txt').read_text().splitlines()
    assert lines == [f'{clip} 2 (16,24,3)' for clip in ('000', '001', '011', '241')]
    assert read_clip_facts(tmp_path / 'meta.txt')['011'] == ClipFacts(2, (16, 24))


def test_basicsr_takes_the_list(reds, tmp_path):
    write_meta_info(reds, tmp_path / 'meta.txt')
    options = {
        'dataroot_gt': reds,
        'dataroot_lq': reds,
        'meta_info_file': str(tmp_path / 'meta.txt'),
        'val_partition': 'REDS4',
        'test_mode': False,
        'io_backend': {'type': 'disk'},
        'num_frame': 2,
    }
    keys = REDSRecurrentDataset(options).keys
    assert keys == ['001/00000000', '001/00000001', '241/00000000', '241/00000001']


def test_held_out_and_named_clips_are_left_out(reds, tmp_path):
    write_meta_info(reds, tmp_path / 'a.txt', leave_out=['REDS4'])
    assert [line.split()[0] for line in (tmp_path / 'a.txt').read_text().splitlines()] == ['001', '241']
    write_meta_info(reds, tmp_path / 'b.txt', leave_out=['official', '001'])
    assert [line.split()[0] for line in (tmp_path / 'b.txt').read_text().splitlines()] == ['000', '011']


def test_clips_may_lie_deeper_and_come_in_natural_order(tmp_path):
    write_pair(tmp_path, {clip: vimeo_names() for clip in ('00001/0010', '00001/0009')})
    write_meta_info(tmp_path / 'GT', tmp_path / 'meta.txt')
    assert (tmp_path / 'meta.txt').read_text() == '00001/0009 7 (16,24,3)\n00001/0010 7 (16,24,3)\n'


def test_a_list_of_names_chooses_and_orders_the_clips(tmp_path):
    write_pair(tmp_path, {f'00001/000{i}': vimeo_names() for i in (1, 2, 3)})
    (tmp_path / 'sep_trainlist.txt').write_text('00001/0003\n00001/0001\n\n')
    write_meta_info(tmp_path / 'GT', tmp_path / 'meta.txt', tmp_path / 'sep_trainlist.txt')
    assert (tmp_path / 'meta.txt').read_text() == '00001/0003 7 (16,24,3)\n00001/0001 7 (16,24,3)\n'


def test_images_in_the_folder_itself_are_listed_one_by_one(tmp_path):
    write_frame(tmp_path / 'images' / '0001.png', 0)
    cv2.imwrite(str(tmp_path / 'images' / '0002.png'), np.zeros((4, 6), np.uint8))
    write_meta_info(tmp_path / 'images', tmp_path / 'meta.txt')
    assert (tmp_path / 'meta.txt').read_text() == '0001.png (16,24,3)\n0002.png (4,6,1)\n'


def test_mistakes_are_named_and_leave_nothing(reds, tmp_path):
    (tmp_path / 'there.txt').write_text('mine')
    write_frame(tmp_path / 'spaces' / 'my clip' / '0.png', 0)
    (tmp_path / 'broken' / 'a').mkdir(parents=True)
    (tmp_path / 'broken' / 'a' / '0.png').write_bytes(b'\x89PNG')
    write_frame(tmp_path / 'mixed' / 'a' / '0.png', 0)
    write_frame(tmp_path / 'mixed' / 'preview.png', 0)
    (tmp_path / 'empty').mkdir()
    before = everything_below(tmp_path)
    for folder, out, leave_out, message in (
        ('GT', 'there.txt', (), 'there.txt exists; remove it'),
        ('nowhere', 'out.txt', (), 'nowhere does not exist'),
        ('empty', 'out.txt', (), r'empty has no images \(\.png'),
        ('GT', 'out.txt', ('002',), 'GT has no clip 002 to leave out; name one that it has, REDS4 or official'),
        ('GT', 'out.txt', ('REDS4', '001', '241'), 'no clips but those to leave out'),
        ('spaces', 'out.txt', (), 'my clip has a space in its name'),
        ('broken', 'out.txt', (), r'0\.png is damaged'),
        ('mixed', 'out.txt', (), r'mixed has images \(preview\.png\) beside folders of images \(a\)'),
    ):
        with pytest.raises(UserError, match=message):
            write_meta_info(tmp_path / folder, tmp_path / out, leave_out=leave_out)
    assert everything_below(tmp_path) == before
